package testfs

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// User is who a system call is made as. Nobody but root has capabilities.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary ones
}

// As calls f on a thread of its own that belongs to the user. The test's other threads stay root.
func As(u User, f func() error) error {
	outcome := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := u.become()
		if err == nil {
			err = f()
		}
		outcome <- err
	}()
	return <-outcome
}

// become changes the calling thread only, as the kernel's own system calls do; Go's wrappers would change the process.
func (u User) become() error {
	var groups unsafe.Pointer
	if len(u.Groups) > 0 {
		groups = unsafe.Pointer(&u.Groups[0])
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(groups), 0); e != 0 {
		return fmt.Errorf("setgroups: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(u.GID), uintptr(u.GID), uintptr(u.GID)); e != 0 {
		return fmt.Errorf("setresgid: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(u.UID), uintptr(u.UID), uintptr(u.UID)); e != 0 {
		return fmt.Errorf("setresuid: %w", e)
	}
	return nil
}
