package upper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrMetacopy reports a file that kernel overlayfs copied up without its content (metacopy=on): it would show as empty.
var ErrMetacopy = errors.New("file without its content (metacopy): write to it in an overlayfs with metacopy=off first")

// Found is one name in a directory of upper.
type Found struct {
	Name     string
	Type     uint32 // S_IFMT bits
	Ino      uint64 // number in the upper file system
	Whiteout bool
	Opaque   bool        // a directory that hides what is below
	Redirect string      // a directory's redirect: "/path" from the lower root, or a name in the parent's lower half; mostly ""
	Mark     []byte      // the number that a copied-up file carries (tree.EncodeIno's form), nil if born in upper
	Links    uint32      // of a copied-up file that has several names below: all its names, see Store.Index; else 0
	Stat     unix.Stat_t // only if asked for
}

// Scan lists a directory of upper, whiteouts included, in the file system's order.
func (s *Store) Scan(dir *File) ([]Found, error) {
	fd, err := unix.Openat(dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // an offset of its own
	if err != nil {
		return nil, wrap("open directory", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return ScanDir(fd, s.prefix, false)
}

// ScanDir lists an open directory in overlayfs's format, from where its descriptor stands; prefix is that of the marks. stat
// asks for each entry's attributes.
func ScanDir(fd int, prefix string, stat bool) ([]Found, error) {
	// The kernel keeps a directory's attributes, and would not learn of a new access time. Somebody else's it may refuse.
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_NOATIME)
	sc := scanner{fd: fd, prefix: prefix, stat: stat}
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			return nil, wrap("getdents", err)
		}
		if n <= 0 {
			return sc.found, nil
		}
		if err := sc.parseDirents(buf[:n]); err != nil {
			return nil, err
		}
	}
}

// Find returns what an open directory has under a name, as ScanDir does with stat.
func Find(fd int, prefix, name string) (*Found, error) {
	sc := scanner{fd: fd, prefix: prefix, stat: true}
	f := &Found{Name: name}
	err := sc.complete(f)
	f.Ino = f.Stat.Ino
	return f, err
}

// Find returns what a directory of the store has under a name, which may be a whiteout; unix.ENOENT if nothing.
func (s *Store) Find(dir *File, name string) (*Found, error) {
	fd, err := unix.Openat(dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // marks need more than O_PATH
	if err != nil {
		return nil, wrap("open directory", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return Find(fd, s.prefix, name)
}

type scanner struct {
	fd     int
	prefix string
	stat   bool
	found  []Found
	err    error // of reading marks
	list   []byte
}

// parseDirents reads struct linux_dirent64: ino 8, off 8, reclen 2, type 1, name.
func (sc *scanner) parseDirents(buf []byte) error {
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
		if err := sc.complete(&e); err != nil {
			return err
		}
		sc.found = append(sc.found, e)
	}
	return nil
}

// complete reads what the entry's own inode knows.
func (sc *scanner) complete(e *Found) error {
	if sc.stat || e.Type == 0 || e.Type == unix.S_IFCHR {
		var st unix.Stat_t
		if err := unix.Fstatat(sc.fd, e.Name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return wrap("stat "+e.Name, err)
		}
		e.Type, e.Whiteout = st.Mode&unix.S_IFMT, isWhiteout(&st)
		if sc.stat {
			e.Stat = st
		}
	}
	if e.Whiteout {
		return nil
	}
	has := sc.marks(e.Name)
	switch {
	case e.Type == unix.S_IFREG && has(whiteoutName): // a layer of an overlay inside an overlay has no devices for whiteouts
		e.Whiteout = true
		return sc.err
	case e.Type == unix.S_IFREG && has(metacopyName):
		return fmt.Errorf("%w: %s", ErrMetacopy, e.Name)
	}
	var buf [16]byte
	if has(inoName) {
		e.Mark = bytes.Clone(sc.mark(e.Name, inoName, buf[:]))
		if e.Type != unix.S_IFDIR && has(linksName) {
			e.Links = decodeLinks(sc.mark(e.Name, linksName, buf[:]))
		}
	}
	if e.Type == unix.S_IFDIR && has(opaqueName) {
		e.Opaque = string(sc.mark(e.Name, opaqueName, buf[:])) == "y"
	}
	if e.Type == unix.S_IFDIR && has(redirectName) {
		var path [unix.PathMax]byte
		e.Redirect = string(sc.mark(e.Name, redirectName, path[:]))
	}
	return sc.err
}

// marks lists an entry's attributes, mostly none at all, and returns what tells whether it has one of the overlay's own.
func (sc *scanner) marks(name string) func(mark string) bool {
	if sc.list == nil {
		sc.list = make([]byte, 64<<10) // XATTR_LIST_MAX
	}
	n, err := unix.Llistxattr(sc.path(name), sc.list)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		sc.err = wrap("listxattr "+name, err)
	}
	names := sc.list[:max(n, 0)]
	return func(mark string) bool {
		for rest := names; len(rest) > 0; {
			var one []byte
			one, rest, _ = bytes.Cut(rest, []byte{0})
			if len(one) == len(sc.prefix)+len(mark) && string(one[:len(sc.prefix)]) == sc.prefix && string(one[len(sc.prefix):]) == mark {
				return true
			}
		}
		return false
	}
}

func (sc *scanner) path(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(sc.fd) + "/" + name
}

// mark reads one of the overlay's own marks of a name into dst; nil if there is none. A disk that fails must not make a
// directory look as if it had none: what is below would show.
func (sc *scanner) mark(name, mark string, dst []byte) []byte {
	n, err := unix.Lgetxattr(sc.path(name), sc.prefix+mark, dst)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOMEM) {
		sc.err = wrap("getxattr "+name, err)
	}
	if err != nil {
		return nil
	}
	return dst[:n]
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
