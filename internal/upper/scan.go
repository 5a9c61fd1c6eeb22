package upper

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Found is one name in a directory of upper.
type Found struct {
	Name     string
	Type     uint32 // S_IFMT bits
	Ino      uint64 // number in the upper file system
	Whiteout bool
	Opaque   bool   // a directory that hides what is below
	Redirect string // a directory's redirect: "/path" from the lower root, or a name in the parent's lower half; mostly ""
	Mark     []byte // the number that a copied-up file carries (tree.EncodeIno's form), nil if born in upper
}

// Scan lists a directory of upper, whiteouts included, in the file system's order.
func (s *Store) Scan(dir *File) ([]Found, error) {
	fd, err := unix.Openat(dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // an offset of its own
	if err != nil {
		return nil, wrap("open directory", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var found []Found
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			return nil, wrap("getdents", err)
		}
		if n <= 0 {
			return found, nil
		}
		if found, err = s.parseDirents(found, dir, buf[:n]); err != nil {
			return nil, err
		}
	}
}

// parseDirents reads struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name.
func (s *Store) parseDirents(found []Found, dir *File, buf []byte) ([]Found, error) {
	for len(buf) >= 19 {
		reclen := int(binary.NativeEndian.Uint16(buf[16:]))
		name := buf[19:reclen]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		e := Found{Name: string(name), Ino: binary.NativeEndian.Uint64(buf), Type: uint32(buf[18]) << 12}
		buf = buf[reclen:]
		if e.Name == "." || e.Name == ".." {
			continue
		}
		if err := s.complete(dir, &e); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

// complete reads what the entry's own inode knows.
func (s *Store) complete(dir *File, e *Found) error {
	if e.Type == 0 || e.Type == unix.S_IFCHR {
		st, err := s.StatChild(dir, e.Name)
		if err != nil {
			return err
		}
		e.Type, e.Whiteout = st.Mode&unix.S_IFMT, isWhiteout(&st)
	}
	if e.Whiteout {
		return nil
	}
	var buf [16]byte
	if mark := s.childXattr(dir, e.Name, inoName, buf[:]); mark != nil {
		e.Mark = bytes.Clone(mark)
	}
	if e.Type == unix.S_IFDIR {
		e.Opaque = string(s.childXattr(dir, e.Name, opaqueName, buf[:])) == "y"
		var path [unix.PathMax]byte
		e.Redirect = string(s.childXattr(dir, e.Name, redirectName, path[:]))
	}
	return nil
}

// clear removes everything in dir. It does not cross into other file systems, since rmdir refuses a mount point.
func (s *Store) clear(dir *File) error {
	found, err := s.Scan(dir)
	if err != nil {
		return err
	}
	for _, e := range found {
		if err := s.removeAll(dir, e.Name, e.Type); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) removeAll(dir *File, name string, typ uint32) error {
	if typ != unix.S_IFDIR {
		return wrap("unlink "+name, unix.Unlinkat(dir.fd, name, 0))
	}
	sub, err := s.OpenChild(dir, name, typ)
	if err != nil {
		return err
	}
	defer sub.Release()
	if err := s.clear(sub); err != nil {
		return err
	}
	return wrap("rmdir "+name, unix.Unlinkat(dir.fd, name, unix.AT_REMOVEDIR))
}
