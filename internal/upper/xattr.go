package upper

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// The two name spaces that overlay file systems keep their marks in.
const (
	trustedPrefix = "trusted.overlay."
	userPrefix    = "user.overlay."
	opaqueName    = "opaque"
	redirectName  = "redirect"
	inoName       = "antares.ino"
	linksName     = "antares.links"
	upperName     = "antares.upper"
)

// Prefix is the name space that the store's marks are in.
func (s *Store) Prefix() string { return s.prefix }

// private tells whether a name is one of the overlay's own marks, which users neither see nor set.
func (s *Store) private(name string) bool { return strings.HasPrefix(name, s.prefix) }

// Xattr reads an extended attribute. With an empty dst it returns the size only.
func (s *Store) Xattr(f *File, name string, dst []byte) (n int, err error) {
	if s.private(name) {
		return 0, wrap("getxattr", unix.ENODATA)
	}
	n, err = f.xattr(name, dst)
	return n, wrap("getxattr", err)
}

func (f *File) xattr(name string, dst []byte) (n int, err error) {
	if f.opath {
		n, err = unix.Getxattr(f.proc(), name, dst)
	} else {
		n, err = unix.Fgetxattr(f.fd, name, dst)
	}
	return max(n, 0), err
}

// Xattrs returns the names, each ended by a zero byte, without the overlay's own.
func (s *Store) Xattrs(f *File) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		var n int
		var err error
		if f.opath {
			n, err = unix.Listxattr(f.proc(), buf)
		} else {
			n, err = unix.Flistxattr(f.fd, buf)
		}
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		if err != nil {
			return nil, wrap("listxattr", err)
		}
		out := buf[:0]
		for _, name := range bytes.SplitAfter(buf[:n], []byte{0}) {
			if !s.private(string(name)) {
				out = append(out, name...)
			}
		}
		return out, nil
	}
}

// SetXattr sets an extended attribute; flags are XATTR_CREATE and XATTR_REPLACE.
func (s *Store) SetXattr(f *File, name string, value []byte, flags int) error {
	if s.private(name) {
		return wrap("setxattr", unix.EPERM)
	}
	return setXattr(f, name, value, flags)
}

// RemoveXattr removes an extended attribute.
func (s *Store) RemoveXattr(f *File, name string) (err error) {
	if s.private(name) {
		return wrap("removexattr", unix.ENODATA)
	}
	if f.opath {
		err = unix.Removexattr(f.proc(), name)
	} else {
		err = unix.Fremovexattr(f.fd, name)
	}
	return wrap("removexattr", err)
}

func setXattr(f *File, name string, value []byte, flags int) (err error) {
	if f.opath {
		err = unix.Setxattr(f.proc(), name, value, flags)
	} else {
		err = unix.Fsetxattr(f.fd, name, value, flags)
	}
	return wrap("setxattr", err)
}

// MarkOpaque makes a directory of upper hide what is below its name.
func (s *Store) MarkOpaque(dir *File) error {
	return setXattr(dir, s.prefix+opaqueName, []byte("y"), 0)
}

// Redirect records where below the lower root a directory of upper has its lower half, since it no longer has its name.
// The path has no leading slash.
func (s *Store) Redirect(dir *File, path string) error {
	return setXattr(dir, s.prefix+redirectName, []byte("/"+path), 0)
}
