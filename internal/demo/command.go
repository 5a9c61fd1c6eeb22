package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Time limits. They are for a mount that hangs, not for a slow machine.
const (
	briefly = 30 * time.Second
	atWork  = 5 * time.Minute
)

// newCommand prepares a program that is killed, with all that it started, when the context ends.
func newCommand(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = os.Environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd
}

// output runs a program and returns its standard output, without white space at the end. The error has what it complained about.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	return outputOf(ctx, newCommand(ctx, name, args...))
}

func outputOf(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = errors.New("no end in time")
		}
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(stdout.String(), " \n"), nil
}

// in prepares a shell script that runs in dir. The shell changes the directory, not we: whoever waits for the mount must be one
// that can be killed.
func in(ctx context.Context, dir, script string) *exec.Cmd {
	return newCommand(ctx, "sh", "-ec", `cd "$0"; `+script, dir)
}

// shell runs a script in dir and returns its output.
func shell(ctx context.Context, limit time.Duration, dir, script string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := outputOf(ctx, in(ctx, dir, script))
	return out, err
}
