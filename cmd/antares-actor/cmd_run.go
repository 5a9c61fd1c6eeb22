package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

type runCommand struct {
	mountOptions
	mountpoint string
}

func newRunCommand() *cobra.Command {
	var c runCommand
	cmd := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG...]",
		Short: "Mount, run a command in the mount, unmount",
		Long: `Mount, run COMMAND with the mountpoint as its working directory, unmount, and exit with COMMAND's status. COMMAND finds the
mountpoint in ANTARES_MOUNT and the directory of its changes in ANTARES_UPPER; as root, BUCK2_ALLOW_ROOT is set for Buck2.

If something that COMMAND started still uses the mount, it stays, its holders are named, and the exit status is 3 unless
COMMAND failed itself.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%w: run needs a command: antares-actor run [flags] -- COMMAND [ARG...]", errUsage)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&c.mountpoint, "mountpoint", "", "mount here (default a new directory, removed afterwards)")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func (c *runCommand) run(ctx context.Context, command []string) (err error) {
	if err := c.complete(); err != nil {
		return err
	}
	mountpoint, remove, err := c.makeMountpoint()
	if err != nil {
		return err
	}
	defer remove()
	// Another process serves: one that serves a mount must not start programs in it.
	server, err := startDetached(ctx, &c.mountOptions, mountpoint)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "antares-actor: changes go to %s\n", c.upper)
	status := c.execute(command, mountpoint)
	uerr := unmountPatiently(context.Background(), mountpoint)
	if uerr == nil {
		_, _ = server.Wait()
	}
	if status != nil && uerr != nil {
		fmt.Fprintln(os.Stderr, "antares-actor:", uerr)
	}
	if status != nil {
		return status
	}
	return uerr
}

// makeMountpoint returns the directory to mount on, and what removes it again if we made it.
func (c *runCommand) makeMountpoint() (string, func(), error) {
	if c.mountpoint != "" {
		path, err := filepath.Abs(c.mountpoint)
		return path, func() {}, err
	}
	dir := filepath.Join(stateDir(), "mnt")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	path := filepath.Join(dir, randomName())
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", nil, err
	}
	return path, func() { _ = os.Remove(path) }, nil // fails while it is mounted, as it should
}

// execute runs the command and returns its status; nil is success. Signals are the command's: a terminal sends them to it
// directly, anybody else through us.
func (c *runCommand) execute(command []string, mountpoint string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = mountpoint
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "ANTARES_MOUNT="+mountpoint, "ANTARES_UPPER="+c.upper, "PWD="+mountpoint)
	if os.Geteuid() == 0 {
		cmd.Env = append(cmd.Env, "BUCK2_ALLOW_ROOT=1")
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "antares-actor:", err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return commandStatus(127)
		}
		return commandStatus(126)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s != unix.SIGINT { // the terminal's interrupt reached the whole group
				_ = cmd.Process.Signal(s)
			}
		case err := <-done:
			return statusOf(err)
		}
	}
}

// statusOf gives a command's end as a shell would: killed by signal n is 128+n.
func statusOf(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if ws, ok := exit.Sys().(interface {
		Signaled() bool
		Signal() unix.Signal
	}); ok && ws.Signaled() {
		return commandStatus(128 + int(ws.Signal()))
	}
	return commandStatus(exit.ExitCode())
}
