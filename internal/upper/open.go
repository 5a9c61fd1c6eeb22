package upper

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

const openFlags = unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

// OpenChild opens dir/name, whose type (S_IFMT bits) the caller knows. The caller compares the result's Ino with the
// number that it expects: a rename may have put another file under the name meanwhile.
func (s *Store) OpenChild(dir *File, name string, typ uint32) (*File, error) {
	switch typ & unix.S_IFMT {
	case unix.S_IFREG:
		return s.openRegular(dir, name)
	case unix.S_IFDIR:
		fd, err := unix.Openat(dir.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|openFlags, 0)
		if errors.Is(err, unix.EACCES) { // a directory of ours without permission bits, and we are not root
			fd, err = unix.Openat(dir.fd, name, unix.O_PATH|unix.O_DIRECTORY|openFlags, 0)
			if err == nil {
				return s.wrapFd(fd, true)
			}
		}
		if err != nil {
			return nil, wrap("open "+name, err)
		}
		return s.wrapFd(fd, false)
	default:
		fd, err := unix.Openat(dir.fd, name, unix.O_PATH|openFlags, 0)
		if err != nil {
			return nil, wrap("open "+name, err)
		}
		return s.wrapFd(fd, true)
	}
}

// OpenOrphan opens the nameless file that Orphan or StageOrphan put aside under this number.
func (s *Store) OpenOrphan(ino uint64, typ uint32) (*File, error) {
	return s.OpenChild(s.orphans, orphanName(ino), typ)
}

func (s *Store) openRegular(dir *File, name string) (*File, error) {
	fd, err := unix.Openat(dir.fd, name, unix.O_RDWR|openFlags, 0)
	if errors.Is(err, unix.EACCES) {
		fd, err = forceOpen(dir, name)
	}
	var ro error
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) { // immutable, or remounted read-only
		ro = err
		fd, err = unix.Openat(dir.fd, name, unix.O_RDONLY|openFlags, 0)
	}
	if err != nil {
		return nil, wrap("open "+name, err)
	}
	f, err := s.wrapFd(fd, false)
	if err == nil {
		f.ro = ro
	}
	return f, err
}

// forceOpen opens a file of ours whose mode forbids it (git's object files are 0444) where the daemon is not root. The
// kernel has checked the caller's rights already; ours must not matter.
func forceOpen(dir *File, name string) (int, error) {
	p, err := unix.Openat(dir.fd, name, unix.O_PATH|openFlags, 0)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(p) }()
	var st unix.Stat_t
	if err := unix.Fstat(p, &st); err != nil {
		return -1, err
	}
	proc := "/proc/self/fd/" + strconv.Itoa(p)
	if err := unix.Chmod(proc, st.Mode&0o7777|0o600); err != nil {
		return -1, unix.EACCES
	}
	fd, err := unix.Open(proc, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if cerr := unix.Chmod(proc, st.Mode&0o7777); cerr != nil && err == nil {
		_ = unix.Close(fd)
		return -1, cerr
	}
	return fd, err
}

// wrapFd makes a File of a descriptor, closing it if that fails.
func (s *Store) wrapFd(fd int, opath bool) (*File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return nil, wrap("stat", err)
	}
	return s.newFile(fd, opath, st), nil
}

// StatChild returns the attributes of dir/name itself.
func (s *Store) StatChild(dir *File, name string) (st unix.Stat_t, err error) {
	return st, wrap("stat "+name, unix.Fstatat(dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW))
}

func orphanName(ino uint64) string { return fmt.Sprintf("%016x", ino) }

// isWhiteout tells whether st is a whiteout: a character device 0:0.
func isWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }
