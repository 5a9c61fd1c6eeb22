package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// turn is one run of a case at one round trip time.
type turn struct {
	*cold
	name string
	trip time.Duration
	undo undo
}

// turn runs a case once. What fails is in the report; the others go on.
func (c *cold) turn(ctx context.Context, k coldCase, trip time.Duration) error {
	t := &turn{cold: c, name: k.name, trip: trip}
	err := k.run(ctx, t)
	if undoErr := t.undo.run(); err == nil {
		err = undoErr
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		c.report.fail(k.name, trip, err)
	}
	return nil
}

// note records a sample of ours.
func (t *turn) note(measure string, v float64) {
	row := t.report.row(t.name, measure, t.trip)
	row.Ours = append(row.Ours, v)
}

// against records a sample of what ours is compared with.
func (t *turn) against(measure string, v float64) {
	row := t.report.row(t.name, measure, t.trip)
	row.Floor = append(row.Floor, v)
}

// floor runs the plain client and records its times.
func (t *turn) floor(ctx context.Context, tree string, paths []string) error {
	took, cpu, err := t.fetch(ctx, tree, t.trip, paths)
	if err == nil {
		t.against("time", took)
		t.against(cpuTime, cpu)
	}
	return err
}

// site makes directories for a mount that has never been: its cache is empty, and the kernel knows nothing of it. They stay
// until the ground goes: ext4 looks long for a new inode where many were deleted within the last minutes.
func (t *turn) site(tree string) (*site, error) {
	t.mounts++
	s := &site{
		ground: &ground{origin: t.url(tree, t.trip)}, own: filepath.Join(t.ground.dir, fmt.Sprintf("mount%04d", t.mounts)),
		binary: t.binary, log: os.Stderr,
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if slices.Contains(largeTrees(), tree) {
		t.undo.add(func() error { return os.RemoveAll(s.own) })
	}
	return s, settleDisk(t.ground.dir)
}

func (s *site) env() []string {
	return []string{"XDG_STATE_HOME=" + s.path("state"), "XDG_CACHE_HOME=" + s.path("cache")}
}

// argv is the command that mounts, with further flags.
func (s *site) argv(flags ...string) []string {
	argv := append([]string{"{binary}", "mount", "--origin", "{origin}", "--upper", "{upper}", "--work", "{work}", "--cache", "{cache}"}, flags...)
	for i := range argv {
		argv[i] = s.expand(argv[i])
	}
	return append(argv, s.path("mnt"))
}

// mount mounts a repository by one process, and returns before anybody has looked into the mount. The repository's counts
// begin here.
func (t *turn) mount(ctx context.Context, tree string, flags ...string) (*daemon, error) {
	s, err := t.site(tree)
	if err != nil {
		return nil, err
	}
	return t.mountAt(ctx, s, tree, flags...)
}

// mountAt is mount at a place that may have been mounted before.
func (t *turn) mountAt(ctx context.Context, s *site, tree string, flags ...string) (*daemon, error) {
	if _, err := t.tally(ctx, tree, 0); err != nil {
		return nil, err
	}
	argv := s.argv(append(flags, "--no-keeper", "--log-level", "warn")...)
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec // the program under test
	cmd.Env, cmd.Stderr = append(os.Environ(), s.env()...), s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, mnt: s.path("mnt"), ended: make(chan error, 1)}
	go func() { d.ended <- cmd.Wait() }()
	t.undo.add(d.stop)
	return d, awaitEntry(ctx, d.mnt, d.ended)
}

// awaitEntry waits until the mount table has a mount, without looking into it.
func awaitEntry(ctx context.Context, path string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := mounted(path); err != nil || ok {
			return err
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the server ended before it had mounted: %w: %w", errEnded, err)
		case <-ctx.Done():
			return fmt.Errorf("no mount at %s: %w", path, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// firstByte mounts in the background, as users do, and reads a byte of a file: the time from the start of the command until
// it is back, and until the byte is there.
func (t *turn) firstByte(ctx context.Context, tree, file string) (ready, first float64, err error) {
	s, err := t.site(tree)
	if err != nil {
		return 0, 0, err
	}
	if _, err := t.tally(ctx, tree, 0); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if _, err := command(ctx, "", s.env(), s.argv("--detach")...); err != nil {
		return 0, 0, err
	}
	t.undo.add(func() error {
		_, err := command(context.Background(), "", s.env(), s.binary, "unmount", s.path("mnt"))
		return err
	})
	ready = time.Since(began).Seconds()
	read := make(chan error, 1)
	go func() {
		f, err := os.Open(filepath.Join(s.path("mnt"), file))
		if err == nil {
			_, err = f.Read(make([]byte, 1))
			_ = f.Close()
		}
		read <- err
	}()
	select {
	case err = <-read:
	case <-time.After(t.timeout):
		err = fmt.Errorf("read %s: nothing came", file)
	}
	return ready, time.Since(began).Seconds(), err
}
