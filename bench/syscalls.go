package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The hot loops make their system calls through these: no allocation, no conversion of names, no bookkeeping of files.
// All repeat what a signal interrupted.

// cpaths converts names to C strings, once.
func cpaths(names []string) ([]*byte, error) {
	out := make([]*byte, len(names))
	for i, n := range names {
		p, err := unix.BytePtrFromString(n)
		if err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

// failed is the error of a system call on the i-th name.
func failed(call string, names []string, i int, errno syscall.Errno) error {
	return fmt.Errorf("%s %s: %w", call, names[i], errno)
}

func statAt(dir int, name *byte, st *unix.Statx_t) syscall.Errno {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(name)), unix.AT_SYMLINK_NOFOLLOW,
			unix.STATX_BASIC_STATS, uintptr(unsafe.Pointer(st)), 0)
		if errno != unix.EINTR {
			return errno
		}
	}
}

func openAt(dir int, name *byte, flags int, mode uint32) (int, syscall.Errno) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(flags|unix.O_CLOEXEC),
			uintptr(mode), 0, 0)
		if errno != unix.EINTR {
			return int(fd), errno
		}
	}
}

func statFd(fd int, st *unix.Stat_t) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(st)), 0)
	return errno
}

func closeFd(fd int) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return errno
}

func readFd(fd int, buf []byte) (int, syscall.Errno) { return transfer(unix.SYS_READ, fd, buf, 0) }

func writeFd(fd int, buf []byte) (int, syscall.Errno) { return transfer(unix.SYS_WRITE, fd, buf, 0) }

func readAtFd(fd int, buf []byte, off int64) (int, syscall.Errno) {
	return transfer(unix.SYS_PREAD64, fd, buf, off)
}

func writeAtFd(fd int, buf []byte, off int64) (int, syscall.Errno) {
	return transfer(unix.SYS_PWRITE64, fd, buf, off)
}

func listFd(fd int, buf []byte) (int, syscall.Errno) {
	return transfer(unix.SYS_GETDENTS64, fd, buf, 0)
}

// transfer is one of the calls that move bytes; off is ignored by those without an offset.
func transfer(call uintptr, fd int, buf []byte, off int64) (int, syscall.Errno) {
	for {
		n, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), uintptr(off), 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func unlinkAt(dir int, name *byte, flags int) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(flags))
	return errno
}

func mkdirAt(dir int, name *byte) syscall.Errno {
	_, _, errno := unix.Syscall(unix.SYS_MKDIRAT, uintptr(dir), uintptr(unsafe.Pointer(name)), 0o755)
	return errno
}

func renameAt(dir int, from, to *byte) syscall.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_RENAMEAT2, uintptr(dir), uintptr(unsafe.Pointer(from)), uintptr(dir),
		uintptr(unsafe.Pointer(to)), 0, 0)
	return errno
}

// openRoot opens a directory to work relative to.
func openRoot(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, nil
}
