package main_test

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What is done with files that are held open, and what needs more than one system call.

// hold opens a file, or one without a name, and keeps it open.
func (w *world) hold(o op) (string, error) {
	_ = w.letGo(o.Slot)
	path, flags := o.A, []int{unix.O_RDONLY, unix.O_RDWR, unix.O_RDWR, unix.O_RDWR | unix.O_CREAT, unix.O_RDONLY | unix.O_DIRECTORY, unix.O_RDWR | unix.O_APPEND}[o.Flag]
	if o.Kind == "holdtmp" {
		path, flags = filepath.Dir(o.A), unix.O_RDWR|unix.O_TMPFILE
	}
	fd, err := unix.Open(path, flags|nonblock, 0o640)
	if err == nil {
		w.held[o.Slot] = fd
	}
	return "", err
}

func (w *world) letGo(slot int) error {
	err := unix.Close(w.held[slot])
	w.held[slot] = -1
	return err
}

// procPath leads to a held file, whether it has a name or not.
func (w *world) procPath(slot int) string { return fmt.Sprintf("/proc/self/fd/%d", w.held[slot]) }

func (w *world) slotLink(o op) (string, error) {
	return "", unix.Linkat(unix.AT_FDCWD, w.procPath(o.Slot), unix.AT_FDCWD, o.B, unix.AT_SYMLINK_FOLLOW)
}

// slotAttr changes an attribute of a held file.
func (w *world) slotAttr(o op) (string, error) {
	fd := w.held[o.Slot]
	switch o.Flag {
	case 0:
		return "", unix.Fchmod(fd, o.Mode)
	case 1:
		return "", unix.Fchown(fd, int(o.N%3), int(o.M%3))
	case 2:
		return "", unix.UtimesNanoAt(unix.AT_FDCWD, w.procPath(o.Slot), o.times(), 0)
	case 3:
		return "", unix.Fsetxattr(fd, o.Key, w.data(o.M%200), 0)
	case 4:
		value := make([]byte, 200)
		n, err := unix.Fgetxattr(fd, o.Key, value)
		return sum(value[:max(n, 0)]), err
	default:
		return "", unix.Fsync(fd)
	}
}

// slotAt makes and removes names below a directory that is held open, and that may have been moved or removed since.
func (w *world) slotAt(o op) (string, error) {
	fd, name := w.held[o.Slot], filepath.Base(o.B)
	switch o.Flag {
	case 0:
		return "", unix.Mkdirat(fd, name, 0o755)
	case 1:
		return "", unix.Symlinkat("nowhere", fd, name)
	case 2:
		return "", unix.Unlinkat(fd, name, 0)
	case 3:
		return "", unix.Renameat(unix.AT_FDCWD, o.A, fd, name)
	case 4:
		return "", unix.Renameat(fd, name, unix.AT_FDCWD, o.A)
	default:
		made, err := unix.Openat(fd, name, unix.O_CREAT|unix.O_RDWR|nonblock, 0o644)
		if err != nil {
			return "", err
		}
		said, err := w.write(made, o)
		_ = unix.Close(made)
		return said, err
	}
}

// slotReaddir lists a directory that is held open from its beginning.
func (w *world) slotReaddir(o op) (string, error) {
	fd, err := unix.Openat(w.held[o.Slot], ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	dir := os.NewFile(uintptr(fd), "held")
	defer dir.Close()
	return listed(dir)
}

// fleeting makes a file, removes its name, and goes on using it.
func (w *world) fleeting(o op) (string, error) {
	return w.open(o.A, unix.O_CREAT|unix.O_RDWR, 0o600, func(fd int) (string, error) {
		if err := unix.Unlink(o.A); err != nil {
			return "unlink", err
		}
		if said, err := w.write(fd, o); err != nil {
			return said, err
		}
		var st unix.Stat_t
		if said, err := describeStat(&st, unix.Fstat(fd, &st)); err != nil {
			return said, err
		}
		return content(fd)
	})
}

// removeAll removes a tree, but not the whole one.
func removeAll(_ *world, o op) (string, error) {
	if path := filepath.Clean(o.A); path == "." || path == ".." {
		return "", unix.EINVAL
	}
	if _, err := os.Lstat(o.A); err != nil { // RemoveAll would open what is above it, and wait there if that is a pipe
		return "", bare(err)
	}
	return "", bare(os.RemoveAll(o.A))
}

// clone asks for a reflink, which ext4 does not have.
func (w *world) clone(o op) (string, error) {
	return w.open(o.A, unix.O_RDONLY, 0, func(from int) (string, error) {
		return w.open(o.B, unix.O_WRONLY, 0, func(to int) (string, error) {
			return "", unix.IoctlFileClone(to, from)
		})
	})
}

// hole is a mode of fallocate.
func (o op) hole() uint32 {
	return []uint32{0, 0, unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, unix.FALLOC_FL_ZERO_RANGE, 0}[o.Flag]
}

// times are those to set: of access and of modification.
func (o op) times() []unix.Timespec {
	at := unix.Timespec{Sec: 1_000_000_000 + o.N, Nsec: o.M * 1001}
	switch o.Flag {
	case 0:
		return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, at}
	case 1:
		return []unix.Timespec{at, {Nsec: unix.UTIME_OMIT}}
	case 2:
		return []unix.Timespec{at, {Nsec: unix.UTIME_NOW}}
	default:
		return []unix.Timespec{at, at}
	}
}
