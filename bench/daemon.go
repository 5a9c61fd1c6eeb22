package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// daemon is a contender's server: a process that serves in the foreground until its mount is gone.
type daemon struct {
	cmd     *exec.Cmd
	mnt     string
	ended   chan error // receives the one result of Wait
	stopped bool
}

// startDaemon runs a server and waits for its mount at the site's {mnt}.
func startDaemon(ctx context.Context, s *site, env []string, argv ...string) (*stand, error) {
	for i := range argv {
		argv[i] = s.expand(argv[i])
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // what the user named
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	// A ^C must reach the harness alone, which unmounts first; and no server survives the harness.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, mnt: s.path("mnt"), ended: make(chan error, 1)}
	go func() { d.ended <- cmd.Wait() }()
	if err := awaitMount(ctx, d.mnt, d.ended); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", argv[0], err), d.kill())
	}
	return &stand{root: d.mnt, ready: time.Since(began), stop: d.stop, peak: d.peak}, nil
}

// stop unmounts, which ends the server.
func (d *daemon) stop() error {
	if d.stopped {
		return nil
	}
	d.stopped = true
	if err := unmount(d.mnt); err != nil {
		return errors.Join(err, d.kill())
	}
	select {
	case err := <-d.ended:
		if err != nil {
			return fmt.Errorf("%s ended after its unmount with: %w", d.cmd.Path, err)
		}
		return nil
	case <-time.After(10 * time.Second):
		return errors.Join(fmt.Errorf("%s: still running 10 s after its unmount", d.cmd.Path), d.kill())
	}
}

// kill ends a server that failed, and the mount it may have made.
func (d *daemon) kill() error {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if ok, err := mounted(d.mnt); err != nil || !ok {
		return err
	}
	return syscall.Unmount(d.mnt, syscall.MNT_DETACH)
}

// peak reads VmHWM.
func (d *daemon) peak() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := bytes.Cut(b, []byte("VmHWM:"))
	var kib int64
	if _, err := fmt.Fscan(bytes.NewReader(after), &kib); err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	return kib << 10
}

// cpu is the processors' time that it has used, in seconds.
func (d *daemon) cpu() (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name before may have anything in it
	if len(fields) < 13 {
		return 0, fmt.Errorf("stat of process %d: %q", d.cmd.Process.Pid, b)
	}
	var user, system float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, fmt.Errorf("stat of process %d: %w", d.cmd.Process.Pid, err)
	}
	const ticks = 100 // USER_HZ
	return (user + system) / ticks, nil
}

func startFuseOverlay(ctx context.Context, s *site) (*stand, error) {
	if _, err := exec.LookPath("fuse-overlayfs"); err != nil {
		return nil, fmt.Errorf("%w: fuse-overlayfs is not installed (package fuse-overlayfs)", errLeftOut)
	}
	return startDaemon(ctx, s, nil, "fuse-overlayfs", "-f", "-o", "lowerdir={lower},upperdir={upper},workdir={work}", "{mnt}")
}

func startAntares(ctx context.Context, s *site) (*stand, error) {
	env := []string{"XDG_STATE_HOME=" + s.path("state"), "XDG_CACHE_HOME=" + s.path("cache")}
	return startDaemon(ctx, s, env, "{binary}", "mount", "--no-keeper", "--origin", "git:{origin}",
		"--upper", "{upper}", "--work", "{work}", "--cache", "{cache}", "{mnt}")
}

func startExtra(line string) func(context.Context, *site) (*stand, error) {
	return func(ctx context.Context, s *site) (*stand, error) {
		if strings.Contains(line, "{src}") {
			if err := copyTree(ctx, s.lower, s.path("src")); err != nil {
				return nil, err
			}
		}
		return startDaemon(ctx, s, nil, strings.Fields(line)...)
	}
}

// startBare runs this program again as a bare go-fuse server of that kind.
func startBare(kind string) func(context.Context, *site) (*stand, error) {
	return func(ctx context.Context, s *site) (*stand, error) {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return startDaemon(ctx, s, []string{roleVar + "=" + roleServer}, self, kind, "{lower}", "{mnt}")
	}
}
