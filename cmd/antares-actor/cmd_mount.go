package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/keeper"
)

type mountCommand struct {
	mountOptions
	detach  bool
	readyFd int
}

func newMountCommand() *cobra.Command {
	var c mountCommand
	cmd := &cobra.Command{
		Use:   "mount [flags] MOUNTPOINT",
		Short: "Mount a repository at one commit",
		Long: `Mount a repository at one commit on MOUNTPOINT, an empty directory. It stays in the foreground until it is interrupted or
unmounted; with --detach it returns when the mount can be used.

Two processes serve: this one, the keeper, starts the engine, which does the work, and starts another one if it dies.

A mount that is in use when it is interrupted stays, and says who holds it; interrupted again, it leaves the name space and
ends when the last holder lets go.`,
		Args: exactArgs(1, "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&c.detach, "detach", false, "return as soon as the mount can be used")
	cmd.Flags().IntVar(&c.readyFd, "ready-fd", -1, "tell this descriptor when the mount can be used")
	_ = cmd.Flags().MarkHidden("ready-fd")
	return cmd
}

func (c *mountCommand) run(ctx context.Context, mountpoint string) error {
	mountpoint, err := filepath.Abs(mountpoint)
	if err != nil {
		return err
	}
	if err := c.complete(); err != nil {
		return err
	}
	if c.detach {
		if _, err := startDetached(ctx, &c.mountOptions, mountpoint); err != nil {
			return err
		}
		fmt.Printf("mounted %s on %s\nchanges go to %s\n", c.shows(), mountpoint, c.upper)
		return nil
	}
	if c.readyFd >= 0 {
		unix.CloseOnExec(c.readyFd) // or all that we start would hold it, and whoever waits for its end would wait for theirs
	}
	if !c.alone && (c.readyFd >= 0 || !keeper.SystemdStores()) {
		return c.keep(mountpoint)
	}
	s := server{mountOptions: c.mountOptions, detached: c.readyFd >= 0, readyFd: c.readyFd}
	if c.readyFd < 0 {
		if s.link, err = keeper.Connect(actors.SessionVersion); err != nil {
			return err
		}
	}
	return s.supervised(ctx, mountpoint)
}

// exactArgs is cobra.ExactArgs with an error that names what is missing.
func exactArgs(n int, names string) cobra.PositionalArgs { return rangeArgs(n, n, names) }

// rangeArgs is cobra.RangeArgs with such an error.
func rangeArgs(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("%w: %s takes %s, got %d arguments: see antares-actor %s --help", errUsage, cmd.Name(), names, len(args), cmd.Name())
		}
		return nil
	}
}
