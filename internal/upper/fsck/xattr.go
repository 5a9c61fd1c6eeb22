package fsck

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// at is a path that leads to a name in an open directory, and to nothing else: only its last part is looked up.
func at(parent int, name string) string { return "/proc/self/fd/" + strconv.Itoa(parent) + "/" + name }

// readMarks returns the overlay attributes of a name. Escaped ones belong to an overlay on the overlay.
func readMarks(parent int, name, prefix string) ([]mark, error) {
	path := at(parent, name)
	names, err := grow(256, func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []mark
	for _, attribute := range strings.Split(string(names), "\x00") {
		short, ok := strings.CutPrefix(attribute, prefix)
		if !ok || strings.HasPrefix(short, "overlay.") {
			continue
		}
		value, err := grow(64, func(buf []byte) (int, error) { return unix.Lgetxattr(path, attribute, buf) })
		if err != nil {
			return nil, err
		}
		found = append(found, mark{short, value})
	}
	return found, nil
}

// anyMark tells whether something below a directory, or the directory itself, has a mark in a name space. What cannot be read
// has none; the walk reports it.
func anyMark(fd int, prefix string) bool {
	found, _ := readMarks(fd, ".", prefix)
	if len(found) > 0 {
		return true
	}
	names, _ := list(fd)
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			if found, _ := readMarks(fd, name, prefix); len(found) > 0 {
				return true
			}
			continue
		}
		if sub, err := openChildDir(fd, name); err == nil {
			marked := anyMark(sub, prefix)
			closeFd(sub)
			if marked {
				return true
			}
		}
	}
	return false
}

// grow calls read with a larger buffer until its answer fits.
func grow(size int, read func([]byte) (int, error)) ([]byte, error) {
	for {
		buf := make([]byte, size)
		n, err := read(buf)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			size *= 8
			continue
		}
		return buf[:max(n, 0)], err
	}
}

// removexattr removes an attribute; hard links share them, so that it may be gone already.
func removexattr(parent int, name, attribute string) error {
	err := unix.Lremovexattr(at(parent, name), attribute)
	if errors.Is(err, unix.ENODATA) {
		return nil
	}
	return err
}
