package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// role reads this process's role and, for a runner, its scratch directory.
func role() (name, scratch string) {
	name, scratch, _ = strings.Cut(os.Getenv(roleVar), ":")
	return name, scratch
}

// isolate runs the harness in a mount namespace of its own, with a scratch directory below parent, and removes what it leaves
// on disk.
func isolate(ctx context.Context, parent string) error {
	if os.Geteuid() != 0 {
		return errors.New("run it as root: it makes a loop device and kernel mounts")
	}
	scratch, err := os.MkdirTemp(parent, "antares-bench-")
	if err != nil {
		return err
	}
	if scratch, err = filepath.Abs(scratch); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleVar+"="+roleRunner+":"+scratch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// A process group of its own: a ^C reaches the runner once, through us, and its servers not at all.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in a mount namespace: %w", err)
	}
	done := make(chan struct{})
	go forward(ctx, cmd.Process, done)
	err = cmd.Wait()
	close(done)
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return errors.New("failed, as said above")
	}
	return err
}

// forward passes the first SIGINT or SIGTERM on, and each later one too.
func forward(ctx context.Context, p *os.Process, done <-chan struct{}) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(again)
	first := ctx.Done()
	for {
		select {
		case <-first:
			first = nil
		case <-again:
		case <-done:
			return
		}
		_ = p.Signal(syscall.SIGTERM)
	}
}
