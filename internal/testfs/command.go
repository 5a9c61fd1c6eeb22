package testfs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandEarly is how long before the tests' time is over a command that still runs is taken for one that hangs: before the
// mounts, which it may wait for.
const commandEarly = 2 * time.Minute

// Result is how a command ended.
type Result struct {
	t      testing.TB
	what   string
	Code   int // exit status; 128+n if signal n killed it
	Stdout string
	Stderr string
}

// Command is a command to run in the lab.
type Command struct {
	Dir   string   // working directory; the lab's if empty
	Env   []string // added to the lab's
	Stdin string
	User  uint32 // runs as this user and group; 0 is root
}

// Run runs a command and returns how it ended, which Result.OK or the caller judges.
func (l *Lab) Run(c Command, name string, args ...string) Result {
	l.t.Helper()
	patience := l.patience(commandEarly)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = c.Dir, append(l.Env(), c.Env...)
	if cmd.Dir == "" {
		cmd.Dir = l.Dir
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.Stdin), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.User != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.User, Gid: c.User}
	}
	cmd.Cancel = func() error { // first the mounts: what waits for a server does not die before
		l.abort(name + " hangs")
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	r := Result{t: l.t, what: name + " " + strings.Join(args, " "), Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		l.t.Fatalf("%s: not done in %v\n%s%s", r.what, patience, r.Stdout, r.Stderr)
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			r.Code = 128 + int(ws.Signal())
		}
	case err != nil:
		l.t.Fatalf("%s: %v", r.what, err)
	}
	return r
}

// Actor runs antares-actor.
func (l *Lab) Actor(args ...string) Result {
	l.t.Helper()
	return l.Run(Command{}, l.suite.Program, args...)
}

// Shell runs a shell script in dir that ends at its first failure, and fails the test if it fails.
func (l *Lab) Shell(dir, script string) string {
	l.t.Helper()
	return l.Run(Command{Dir: dir}, "bash", "-euo", "pipefail", "-c", script).OK()
}

// Role runs this test binary as a process of its own, in the role that Main was given, and fails the test if it fails.
func (l *Lab) Role(dir, role string, args ...string) string {
	l.t.Helper()
	return l.Run(Command{Dir: dir, Env: AsRole(role)}, testBinary(l.t), args...).OK()
}

// AsRole is the environment in which this test binary plays a role.
func AsRole(role string) []string { return []string{childEnv + "=" + role} }

// Background starts a command and returns it running; it ends with the test at the latest.
func (l *Lab) Background(dir, name string, args ...string) *exec.Cmd {
	l.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, l.Env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

func testBinary(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// OK fails the test unless the command succeeded, and returns its standard output.
func (r Result) OK() string {
	r.t.Helper()
	if r.Code != 0 {
		r.t.Fatalf("%s: exit status %d\n%s%s", r.what, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Need fails the test unless a program is installed. A test that cannot run has not passed.
func (l *Lab) Need(program, debianPackage string) {
	l.t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		l.t.Fatalf("%s is not installed: install the package %s (make deps does)", program, debianPackage)
	}
}
