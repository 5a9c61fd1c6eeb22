package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/fusebridge"
)

func newUnmountCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "unmount MOUNTPOINT",
		Aliases: []string{"umount"},
		Short:   "Unmount; if the mount is in use, say by whom",
		Long: `Unmount MOUNTPOINT and return when its server has ended. A mount that is in use stays, and its holders are named (exit
status 3).`,
		Args: exactArgs(1, "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error { return unmountAndWait(cmd.Context(), args[0]) },
	}
}

// unmountAndWait unmounts, then waits for the server to end, so that upper can be used again. errKept if another mount name
// space keeps it, errEnding if ctx ends before the server.
func unmountAndWait(ctx context.Context, mountpoint string) error {
	m, err := fusebridge.Find(mountpoint)
	if err != nil {
		return err
	}
	served, known := records()[m.Mountpoint]
	if err := fusebridge.Unmount(mountpoint); err != nil {
		return err
	}
	if !known {
		return nil
	}
	ended := func() bool { // an engine whose keeper was killed a moment ago is on its own
		return waitForExit(ctx, served.PID, endPatience) && waitForExit(ctx, served.Engine, endPatience)
	}
	for !ended() {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %s is unmounted, but its server has not ended (pid %d): %w", errEnding, mountpoint, served.PID, ctx.Err())
		}
		if others := fusebridge.Elsewhere(m.Device); len(others) > 0 {
			return fmt.Errorf("%w: %s is unmounted here, but its server goes on (pid %d): %s",
				errKept, mountpoint, served.PID, fusebridge.Describe(others))
		}
	}
	return nil
}

// endPatience is how long a server may take to end before it is asked who keeps it.
const endPatience = 3 * time.Second

// waitForExit tells whether the process ended before the time was over, or the context.
func waitForExit(ctx context.Context, pid int, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return true // it has ended already
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer func() { _ = f.Close() }()
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 100); n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return true
		}
	}
	return false
}

// unmountPatiently gives processes that a command left behind a moment to end: build daemons that were just told to.
func unmountPatiently(ctx context.Context, mountpoint string) error {
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	deadline := time.Now().Add(patience)
	for {
		err := unmountAndWait(ctx, mountpoint)
		if !errors.Is(err, actors.ErrBusy) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}
