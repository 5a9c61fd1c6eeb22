package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/keeper"
)

func newUpgradeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade MOUNTPOINT",
		Short: "Go on serving a mount with the program that is installed now",
		Long: `Have the server of MOUNTPOINT replaced by one of the program that stands by now where the old one was started, without
unmounting: the new one gets ready, the old one finishes what it has begun, and hands over. No program in the mount notices more
than a pause, which is printed. If the new one fails, the old one goes on.

SIGUSR2 to the mount's keeper (the "pid" of list --json) does the same.`,
		Args: exactArgs(1, "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error { return upgrade(cmd.Context(), args[0]) },
	}
}

// upgradeTime is how long an upgrade may take: more than its steps in package keeper together.
const upgradeTime = 45 * time.Second

func upgrade(ctx context.Context, mountpoint string) error {
	before, err := servedAt(mountpoint)
	if err != nil {
		return err
	}
	if before.PID == before.Engine {
		return fmt.Errorf("%w: %s is served without a keeper: unmount it, and mount it again", errUsage, mountpoint)
	}
	if err := understands(ctx, before); err != nil {
		return err
	}
	if err := unix.Kill(before.PID, keeper.UpgradeSignal); err != nil {
		return fmt.Errorf("signal keeper %d: %w", before.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, upgradeTime)
	defer cancel()
	for ctx.Err() == nil {
		after, err := readRecord(before.file())
		switch {
		case err == nil && after.Engine != before.Engine:
			fmt.Printf("upgraded %s: server %d, before it %d; pause %v\n", mountpoint, after.Engine, before.Engine, time.Duration(after.Pause)*time.Microsecond)
			return nil
		case err == nil && after.Refusals != before.Refusals:
			return fmt.Errorf("%w: %s is served by the old server still: %s", errNotUpgraded, mountpoint, after.Refusal)
		case !alive(before.PID):
			return fmt.Errorf("%w: %s has ended meanwhile", actors.ErrUnmounted, mountpoint)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%w: %s is served by the old server still: its log says why", errNotUpgraded, mountpoint)
}

var errNotUpgraded = errors.New("not upgraded")

// understands tells whether the program that would be started can take the mount over.
func understands(ctx context.Context, r record) error {
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", r.PID))
	if err != nil {
		return fmt.Errorf("keeper %d: %w", r.PID, err)
	}
	program = strings.TrimSuffix(program, " (deleted)")
	out, err := exec.CommandContext(ctx, program, "version", "--session").Output()
	if err != nil {
		return fmt.Errorf("%w: %s cannot be started: %w", errNotUpgraded, program, err)
	}
	if version := strings.TrimSpace(string(out)); version != r.Session {
		return fmt.Errorf("%w: %s understands mounts of session version %s, and this one has %s: unmount it, and mount it again",
			errNotUpgraded, program, version, r.Session)
	}
	return nil
}
