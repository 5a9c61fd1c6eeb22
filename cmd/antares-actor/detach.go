package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/keeper"
)

// readyWord is what a detached server writes when its mount can be used.
const readyWord = "ready\n"

// startDetached starts a process of this binary that mounts and serves, in a session of its own, and returns when the mount
// can be used. If it cannot be mounted, the child has said why on the shared standard error, and its exit code is ours.
func startDetached(ctx context.Context, o *mountOptions, mountpoint string) (*os.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	args := append([]string{"mount", "--ready-fd", "3"}, o.args()...)
	cmd := exec.Command(self, append(args, "--", mountpoint)...)
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{w}
	cmd.Dir = "/"
	cmd.Env = keeper.Unsupervised(os.Environ()) // systemd looks after us, not after the mount
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(unix.SIGTERM) })
	defer stop()
	if said, _ := io.ReadAll(r); string(said) == readyWord {
		return cmd.Process, nil
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return nil, commandStatus(exit.ExitCode())
	}
	return nil, fmt.Errorf("server ended before the mount could be used: %w", errors.Join(err, ctx.Err()))
}

// tellReady writes that word to a descriptor and closes it; -1 is none.
func tellReady(fd int) {
	if fd >= 0 {
		_, _ = unix.Write(fd, []byte(readyWord))
		_ = unix.Close(fd)
	}
}

// leaveTerminal ends a detached server's hold on its parent's standard streams: whoever waits for their end must not wait
// for the mount's.
func leaveTerminal(logFile string) {
	for _, fd := range []int{unix.Stdin, unix.Stdout, unix.Stderr} {
		if fd == unix.Stderr && logFile != "" {
			continue
		}
		_ = redirect(os.DevNull, fd)
	}
}

// terminal is where standard error led before the log took its place. A nil one leads nowhere.
type terminal struct{ fd int }

// logTo has standard error, and so the log and whatever a crash has to say, go to a file.
func logTo(path string) (*terminal, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stderr), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("standard error: %w", err)
	}
	t := &terminal{fd: fd}
	if err := redirect(path, unix.Stderr); err != nil {
		t.leave()
		return nil, err
	}
	return t, nil
}

// back has standard error lead to the terminal again, unless leave was called.
func (t *terminal) back() {
	if t != nil && t.fd >= 0 {
		_ = unix.Dup3(t.fd, unix.Stderr, 0)
	}
}

// leave gives the terminal up: whoever waits for its end must not wait for us.
func (t *terminal) leave() {
	if t != nil && t.fd >= 0 {
		_ = unix.Close(t.fd)
		t.fd = -1
	}
}

// redirect opens a file for appending in the place of a descriptor.
func redirect(path string, fd int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	defer func() { _ = f.Close() }()
	return unix.Dup3(int(f.Fd()), fd, 0)
}
