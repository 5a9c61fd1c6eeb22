package upper

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// File is an open file, directory or other inode of upper. Regular files are open for reading and writing, directories
// for reading, anything else by O_PATH. It is reference counted, because a cache may drop it while a request uses it:
// Acquire before use, Release after.
type File struct {
	fd     int
	opath  bool  // immutable: not open for I/O; changed through /proc/self/fd
	ro     error // immutable: why a regular file could not be opened for writing
	st     unix.Stat_t
	refs   atomic.Int32 // 0 is closed
	counts *atomic.Int64
	turn   *sync.RWMutex // a directory's; see turns
}

// newFile takes over fd, which st describes. The caller holds the one reference.
func (s *Store) newFile(fd int, opath bool, st unix.Stat_t) *File {
	f := &File{fd: fd, opath: opath, st: st, counts: &s.open, turn: s.turns.of(st.Ino)}
	f.refs.Store(1)
	s.open.Add(1)
	return f
}

// Acquire takes a reference; false means that the file is closed already.
func (f *File) Acquire() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives a reference back; the last one closes the descriptor.
func (f *File) Release() {
	if f.refs.Add(-1) == 0 {
		_ = unix.Close(f.fd)
		f.counts.Add(-1)
	}
}

// Ino is the file's number in the upper file system.
func (f *File) Ino() uint64 { return f.st.Ino }

// Born is what stat said when the file was opened or made.
func (f *File) Born() *unix.Stat_t { return &f.st }

// Stat returns the current attributes.
func (f *File) Stat() (st unix.Stat_t, err error) {
	if err := unix.Fstat(f.fd, &st); err != nil {
		return st, fmt.Errorf("stat: %w", err)
	}
	return st, nil
}

// proc is a path that leads to the open inode itself, even to a symbolic link.
func (f *File) proc() string { return "/proc/self/fd/" + strconv.Itoa(f.fd) }

// Chmod sets the permission bits.
func (f *File) Chmod(mode uint32) (err error) {
	if f.opath {
		err = unix.Chmod(f.proc(), mode&0o7777)
	} else {
		err = unix.Fchmod(f.fd, mode&0o7777)
	}
	return wrap("chmod", err)
}

// Chown sets owner and group; -1 leaves one as it is.
func (f *File) Chown(uid, gid int) error {
	return wrap("chown", unix.Fchownat(f.fd, "", uid, gid, unix.AT_EMPTY_PATH))
}

// Utimes sets access and modification time; Nsec may be UTIME_NOW or UTIME_OMIT.
func (f *File) Utimes(atime, mtime unix.Timespec) error {
	f.turn.RLock()
	defer f.turn.RUnlock()
	return f.setTimes(atime, mtime)
}

func (f *File) setTimes(atime, mtime unix.Timespec) error {
	return wrap("utimes", unix.UtimesNanoAt(f.fd, "", []unix.Timespec{atime, mtime}, unix.AT_EMPTY_PATH))
}

// Truncate sets the size in bytes.
func (f *File) Truncate(size int64) error {
	if f.opath {
		return wrap("truncate", unix.EINVAL)
	}
	if f.ro != nil {
		return wrap("truncate", f.ro)
	}
	return wrap("truncate", unix.Ftruncate(f.fd, size))
}

// ReadAt reads up to len(p) bytes; fewer only at the end of the file.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(f.fd, p[done:], off+int64(done))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return done, wrap("read", err)
		}
		if n == 0 {
			break
		}
		done += n
	}
	return done, nil
}

// WriteAt writes p. A short count without an error is what the file system took (a full disk).
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if f.ro != nil {
		return 0, wrap("write", f.ro)
	}
	for {
		n, err := unix.Pwrite(f.fd, p, off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return max(n, 0), wrap("write", err)
	}
}

// Sync makes the content durable; dataOnly leaves out times.
func (f *File) Sync(dataOnly bool) error {
	if f.opath {
		return nil
	}
	if dataOnly {
		return wrap("fdatasync", unix.Fdatasync(f.fd))
	}
	return wrap("fsync", unix.Fsync(f.fd))
}

// Allocate is fallocate(2).
func (f *File) Allocate(mode uint32, off, length int64) error {
	if f.ro != nil {
		return wrap("fallocate", f.ro)
	}
	return wrap("fallocate", unix.Fallocate(f.fd, mode, off, length))
}

// Seek answers SEEK_DATA and SEEK_HOLE.
func (f *File) Seek(off int64, whence int) (int64, error) {
	n, err := unix.Seek(f.fd, off, whence)
	return n, wrap("lseek", err)
}

// Readlink returns a symbolic link's target.
func (f *File) Readlink() (string, error) {
	if f.st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", wrap("readlink", unix.EINVAL) // readlinkat without a path says ENOENT
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(f.fd, "", buf)
	if err != nil {
		return "", wrap("readlink", err)
	}
	return string(buf[:n]), nil
}

// Statfs describes the upper file system.
func (f *File) Statfs() (st unix.Statfs_t, err error) {
	return st, wrap("statfs", unix.Fstatfs(f.fd, &st))
}

// DropPrivileges clears set-uid and set-gid of a file, as Linux does on a write by someone without CAP_FSETID: the file system
// below does not, since the daemon has it. Set-gid without the group's right to execute stays if the caller is a member of
// the file's group.
func (f *File) DropPrivileges(member func(gid uint32) bool) (dropped bool, err error) {
	st, err := f.Stat()
	if err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false, err
	}
	mode := st.Mode &^ unix.S_ISUID
	if mode&unix.S_ISGID != 0 && (mode&0o010 != 0 || !member(st.Gid)) {
		mode &^= unix.S_ISGID
	}
	if mode == st.Mode {
		return false, nil
	}
	return true, f.Chmod(mode)
}

// DropSetGID clears set-gid, which setting an access ACL does to a file of a group that the caller is not in.
func (f *File) DropSetGID() error {
	st, err := f.Stat()
	if err != nil || st.Mode&unix.S_ISGID == 0 {
		return err
	}
	return f.Chmod(st.Mode &^ unix.S_ISGID)
}

// wrap names the operation; nil stays nil.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("upper: %s: %w", op, err)
}
