package testfs

import (
	"errors"
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

// As calls f on a thread that is the user's for as long. The test's other threads stay root.
func As(u User, f func() error) error {
	outcome := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := u.become(); err != nil {
			outcome <- err
			return // and the thread ends with the goroutine
		}
		err := f()
		if again := (User{}).become(); again != nil {
			outcome <- errors.Join(err, again)
			return
		}
		runtime.UnlockOSThread() // a thread must not end: the children that it started would be told (Pdeathsig)
		outcome <- err
	}()
	return <-outcome
}

// become changes the calling thread only, as the kernel's own system calls do; Go's wrappers would change the process. The
// saved ids stay root's, so that it can be again.
func (u User) become() error {
	const same = ^uintptr(0)
	var groups unsafe.Pointer
	if len(u.Groups) > 0 {
		groups = unsafe.Pointer(&u.Groups[0])
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, same, 0, same); e != 0 {
		return fmt.Errorf("setresuid: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(groups), 0); e != 0 {
		return fmt.Errorf("setgroups: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, same, uintptr(u.GID), same); e != 0 {
		return fmt.Errorf("setresgid: %w", e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(u.UID), same); e != 0 {
		return fmt.Errorf("setresuid: %w", e)
	}
	return nil
}
