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
	whiteoutName  = "whiteout"
	metacopyName  = "metacopy"
)

// Prefix is the name space that the store's marks are in.
func (s *Store) Prefix() string { return s.prefix }

// escape marks, behind the prefix, an attribute of a user's whose name looks like a mark: a mount may hold the layers of
// another overlay. It is what kernel overlayfs stores.
const escape = "overlay."

// StoredXattr returns the name under which a layer whose marks are in prefix stores a user's attribute.
func StoredXattr(prefix, name string) string {
	if rest, ok := strings.CutPrefix(name, prefix); ok {
		return prefix + escape + rest
	}
	return name
}

// ShownXattr is the inverse: the user's name for a stored attribute. ok is false for the overlay's own marks.
func ShownXattr(prefix, stored string) (name string, ok bool) {
	rest, marked := strings.CutPrefix(stored, prefix)
	if !marked {
		return stored, true
	}
	rest, ok = strings.CutPrefix(rest, escape)
	return prefix + rest, ok
}

// Xattr reads an extended attribute. With an empty dst it returns the size only.
func (s *Store) Xattr(f *File, name string, dst []byte) (n int, err error) {
	n, err = f.xattr(StoredXattr(s.prefix, name), dst)
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
		for _, stored := range bytes.SplitAfter(buf[:n], []byte{0}) {
			if name, ok := ShownXattr(s.prefix, string(stored)); ok {
				out = append(out, name...) // never longer than what it is read from
			}
		}
		return out, nil
	}
}

// SetXattr sets an extended attribute; flags are XATTR_CREATE and XATTR_REPLACE.
func (s *Store) SetXattr(f *File, name string, value []byte, flags int) error {
	return setXattr(f, StoredXattr(s.prefix, name), value, flags)
}

// RemoveXattr removes an extended attribute.
func (s *Store) RemoveXattr(f *File, name string) (err error) {
	name = StoredXattr(s.prefix, name)
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
