package fsck

import (
	"strings"

	"golang.org/x/sys/unix"
)

// hasLower tells whether the lower layers show a directory at a path. Redirects within them are not followed.
func (c *checker) hasLower(path string) bool {
	for _, fd := range c.lower {
		isDir, end := inLayer(fd, path)
		if isDir || end {
			return isDir
		}
	}
	return false
}

// inLayer tells whether a layer has a directory at a path, and whether it hides what the layers below have there.
func inLayer(root int, path string) (isDir, end bool) {
	fd, opaque := root, false
	defer func() {
		if fd != root {
			closeFd(fd)
		}
	}()
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			return false, opaque
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return false, true // a whiteout, or a file in the directory's place
		}
		opaque = opaque || isOpaque(fd, name)
		next, err := openChildDir(fd, name)
		if err != nil {
			return false, true
		}
		if fd != root {
			closeFd(fd)
		}
		fd = next
	}
	return true, true
}

func isOpaque(parent int, name string) bool {
	for _, prefix := range []string{trusted, user} {
		var buf [2]byte
		n, err := unix.Lgetxattr(at(parent, name), prefix+"opaque", buf[:])
		if err == nil && string(buf[:n]) == "y" {
			return true
		}
	}
	return false
}
