package upper

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// Birth describes a file to be made.
type Birth struct {
	Mode     uint32 // type and permission bits
	Umask    uint32 // the caller's; see Inherit
	Rdev     uint64 // of a device
	Target   string // of a symbolic link
	UID, GID uint32 // the caller's

	acl []byte // the default ACL of the directory that it is made for, as its extended attribute; nil if it has none
}

// Create makes dir/name and opens it. covered says that it replaced a whiteout: the name is known below, and a directory
// made there was marked opaque. EEXIST means that upper has the name.
func (s *Store) Create(dir *File, name string, b Birth) (f *File, covered bool, err error) {
	if b, err = s.Inherit(dir, b); err != nil {
		return nil, false, err
	}
	defer enter(dir, dir)()
	f, err = s.make(dir, name, b)
	if !errors.Is(err, unix.EEXIST) || !s.HasWhiteout(dir, name) {
		return f, false, err
	}
	f, err = s.replaceWhiteout(dir, name, b)
	return f, true, err
}

// Inherit returns b with what a directory gives to files made in it: a set-gid one its group, and to directories the bit; one
// with a default ACL that, in place of the umask.
func (s *Store) Inherit(dir *File, b Birth) (Birth, error) {
	parent, err := dir.Stat()
	if err != nil {
		return b, err
	}
	if parent.Mode&unix.S_ISGID != 0 {
		b.GID = parent.Gid
		if b.Mode&unix.S_IFMT == unix.S_IFDIR {
			b.Mode |= unix.S_ISGID
		}
	}
	if b.Mode&unix.S_IFMT == unix.S_IFLNK {
		return b, nil
	}
	if b.acl, err = s.defaultACL(dir); err == nil && b.acl == nil {
		b.Mode &^= b.Umask & 0o777
	}
	return b, err
}

// make creates a file as b says, undoing it if it cannot be completed.
func (s *Store) make(dir *File, name string, b Birth) (_ *File, err error) {
	typ := b.Mode & unix.S_IFMT
	fd := -1
	switch typ {
	case unix.S_IFREG:
		fd, err = unix.Openat(dir.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|openFlags, b.Mode&0o7777)
	case unix.S_IFDIR:
		err = unix.Mkdirat(dir.fd, name, b.Mode&0o7777)
	case unix.S_IFLNK:
		err = unix.Symlinkat(b.Target, dir.fd, name)
	default:
		err = unix.Mknodat(dir.fd, name, b.Mode, int(b.Rdev))
	}
	if err != nil {
		return nil, wrap("create "+name, err)
	}
	undo := func() { _ = unix.Unlinkat(dir.fd, name, removeFlag(typ)) }
	var f *File
	if fd >= 0 {
		f, err = s.wrapFd(fd, false)
	} else {
		f, err = s.OpenChild(dir, name, typ)
	}
	if err != nil {
		undo()
		return nil, err
	}
	if err := s.adopt(f, b); err != nil {
		f.Release()
		undo()
		return nil, err
	}
	return f, nil
}

// adopt gives a new file to its owner and sets the bits that creation lost to our umask, to the change of owner, or to
// the file system below (set-gid). Born is brought up to date.
func (s *Store) adopt(f *File, b Birth) error {
	changed := false
	if f.st.Uid != b.UID || f.st.Gid != b.GID {
		if err := f.Chown(int(b.UID), int(b.GID)); err != nil {
			if !errors.Is(err, unix.EPERM) || s.uid == 0 {
				return err
			} // not root: files can only be ours
		}
		changed = true
	}
	mode := b.Mode
	if b.acl != nil { // the file system has made of the mode what the ACL says, our umask aside
		mode = mode&^0o777 | f.st.Mode&0o777
	}
	if b.Mode&unix.S_IFMT != unix.S_IFLNK && (f.st.Mode != mode || changed && mode&0o6000 != 0) {
		if err := f.Chmod(mode); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	f.st = st
	return nil
}

// build makes a file as b says in the work directory, and returns the name that it has there.
func (s *Store) build(b Birth) (f *File, name string, err error) {
	name = s.tmpName()
	if b.acl == nil {
		f, err = s.make(s.tmp, name, b)
		return f, name, err
	}
	// What a default ACL makes of a mode is the file system's business: it is done in a directory with the same one.
	nest := s.tmpName()
	if err := unix.Mkdirat(s.tmp.fd, nest, 0o700); err != nil {
		return nil, "", wrap("create", err)
	}
	defer func() { _ = unix.Unlinkat(s.tmp.fd, nest, unix.AT_REMOVEDIR) }()
	dir, err := s.OpenChild(s.tmp, nest, unix.S_IFDIR)
	if err != nil {
		return nil, "", err
	}
	defer dir.Release()
	if err := setXattr(dir, defaultACL, b.acl, 0); err != nil {
		return nil, "", err
	}
	if f, err = s.make(dir, name, b); err != nil {
		return nil, "", err
	}
	if err := unix.Renameat2(dir.fd, name, s.tmp.fd, name, unix.RENAME_NOREPLACE); err != nil {
		f.Release()
		_ = unix.Unlinkat(dir.fd, name, removeFlag(b.Mode))
		return nil, "", wrap("create", err)
	}
	return f, name, nil
}

// widened is a mode that lets us in: without privileges it binds us too, and putting marks on a file, or moving a directory,
// takes the right to write to it.
func (s *Store) widened(mode uint32) uint32 {
	if typ := mode & unix.S_IFMT; s.uid == 0 || typ != unix.S_IFREG && typ != unix.S_IFDIR {
		return mode
	}
	return mode | 0o700
}

// narrow takes back what widened gave to a file that should have this mode.
func (s *Store) narrow(f *File, mode uint32) error {
	if s.widened(mode) == mode {
		return nil
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := f.Chmod(st.Mode&^0o700 | st.Mode&mode&0o700); err != nil {
		return err
	}
	f.st, err = f.Stat()
	return err
}

// replaceWhiteout builds the file in the work directory and puts it in the whiteout's place in one step, so that what is
// below never shows.
func (s *Store) replaceWhiteout(dir *File, name string, b Birth) (_ *File, err error) {
	mode, isDir := b.Mode, b.Mode&unix.S_IFMT == unix.S_IFDIR
	if isDir {
		b.Mode = s.widened(mode)
	}
	f, tmp, err := s.build(b)
	if err != nil {
		return nil, err
	}
	if isDir {
		err = s.MarkOpaque(f)
	}
	exchange := func() error { return unix.Renameat2(s.tmp.fd, tmp, dir.fd, name, unix.RENAME_EXCHANGE) }
	if err == nil {
		err = wrap("replace whiteout "+name, exchange())
	}
	if err == nil && isDir {
		if err = s.narrow(f, mode); err != nil {
			_ = exchange()
		}
	}
	if err != nil {
		f.Release()
		_ = unix.Unlinkat(s.tmp.fd, tmp, removeFlag(b.Mode))
		return nil, err
	}
	_ = unix.Unlinkat(s.tmp.fd, tmp, 0) // the whiteout
	return f, nil
}

// Link gives f, which stands at from/old (or is an orphan, with a nil from), the further name dir/name. covered is as for
// Create.
func (s *Store) Link(f *File, dir *File, name string) (covered bool, err error) {
	defer enter(dir, dir)()
	// AT_EMPTY_PATH would need CAP_DAC_READ_SEARCH; following /proc's link to the open file does not.
	link := func(d *File, n string) error {
		return unix.Linkat(unix.AT_FDCWD, f.proc(), d.fd, n, unix.AT_SYMLINK_FOLLOW)
	}
	err = link(dir, name)
	if !errors.Is(err, unix.EEXIST) || !s.HasWhiteout(dir, name) {
		return false, wrap("link "+name, err)
	}
	tmp := s.tmpName()
	if err := link(s.tmp, tmp); err != nil {
		return true, wrap("link "+name, err)
	}
	if err := unix.Renameat2(s.tmp.fd, tmp, dir.fd, name, unix.RENAME_EXCHANGE); err != nil {
		_ = unix.Unlinkat(s.tmp.fd, tmp, 0)
		return true, wrap("link "+name, err)
	}
	_ = unix.Unlinkat(s.tmp.fd, tmp, 0)
	return true, nil
}

// Whiteout hides a name that only lower layers have.
func (s *Store) Whiteout(dir *File, name string) error {
	defer enter(dir, dir)()
	return wrap("whiteout "+name, unix.Mknodat(dir.fd, name, unix.S_IFCHR, 0))
}

// Has tells whether upper has dir/name, be it a whiteout.
func (s *Store) Has(dir *File, name string) bool {
	_, err := s.StatChild(dir, name)
	return !errors.Is(err, unix.ENOENT)
}

// HasWhiteout tells whether dir/name is a whiteout.
func (s *Store) HasWhiteout(dir *File, name string) bool {
	st, err := s.StatChild(dir, name)
	return err == nil && isWhiteout(&st)
}

// tmpName returns a name that nothing else in work/tmp has.
func (s *Store) tmpName() string { return strconv.FormatUint(s.serial.Add(1), 16) }

func removeFlag(mode uint32) int {
	if mode&unix.S_IFMT == unix.S_IFDIR {
		return unix.AT_REMOVEDIR
	}
	return 0
}
