package main_test

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/fusebridge"
	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() { roles["alone"] = alone }

// keptVar names the one mount that a program that runs alone has a copy of.
const keptVar = "ANTARES_TEST_KEPT"

// asAlone is the environment in which this binary runs its arguments alone.
func asAlone(kept string) []string { return append(testfs.AsRole("alone"), keptVar+"="+kept) }

// alone becomes another program, in a mount name space of its own, without the copies of other tests' mounts, which would outlive
// their unmounting. umount(8) would take too long for them: it waits for servers that a test has stopped.
func alone(args []string) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := fusebridge.LeaveAll(os.Getenv(keptVar)); err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return v == testfs.AsRole("alone")[0] })
	return syscall.Exec(program, args, env)
}
