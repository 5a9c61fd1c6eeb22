package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stage is what the demo is played on. Its paths are immutable.
type stage struct {
	program string // antares-actor
	git     string // the git directory of the repository
	commit  string // its HEAD
	dir     string // everything below is in it

	mnt, upper, cache, stats string
	plain, warmup            string // the commit's files in plain directories

	mono     *exec.Cmd // nil until it runs and when it was stopped
	stopMono context.CancelFunc
	url      string
	isUp     bool     // mounted, and not unmounted by us
	modified []string // paths that exist below and were changed in the mount
	added    []string // paths that do not and were made
}

func newStage(ctx context.Context, program string) (*stage, error) {
	program, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	git, err := output(ctx, "git", "rev-parse", "--absolute-git-dir")
	if err != nil {
		return nil, fmt.Errorf("the demo mounts the repository that it is run in: %w", err)
	}
	commit, err := output(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "antares-demo-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // the mount table has real paths
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	s := &stage{
		program: program, git: git, commit: commit, dir: dir, stats: at("stats.json"),
		mnt: at("mnt"), upper: at("upper"), cache: at("cache"), plain: at("plain"), warmup: at("warmup"),
	}
	return s, os.Mkdir(s.mnt, 0o755)
}

// serve starts the embedded server. It logs each request, so that they can be counted at both ends.
func (s *stage) serve(ctx context.Context) (string, error) {
	log, err := os.Create(filepath.Join(s.dir, "mono.log"))
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it is stopped by close, after the unmount
	cmd := newCommand(ctx, s.program, "mono", "--git", s.git, "--listen", "127.0.0.1:0", "--log-level", "debug")
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return "", err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return "", err
	}
	s.mono, s.stopMono = cmd, cancel
	patience := time.AfterFunc(briefly, cancel)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	patience.Stop()
	_, url, ok := strings.Cut(strings.TrimSpace(line), " on ")
	if !ok {
		return "", fmt.Errorf("the server gave no address but %q: %w", line, err)
	}
	s.url = url
	return fmt.Sprintf("%s at %.12s on %s", s.git, s.commit, url), nil
}

// requests counts what the server was asked.
func (s *stage) requests() (int, error) {
	log, err := os.ReadFile(filepath.Join(s.dir, "mono.log"))
	return bytes.Count(log, []byte("msg=request ")), err
}

func (s *stage) mount(ctx context.Context) (string, error) {
	start := time.Now()
	_, err := output(ctx, s.program, "mount", "--detach", "--origin", s.url, "--rev", s.commit, "--upper", s.upper,
		"--cache", s.cache, "--stats", s.stats, "--log-file", filepath.Join(s.dir, "mount.log"), s.mnt)
	if err != nil {
		return "", err
	}
	took := time.Since(start)
	if mounted, err := s.mounted(); err != nil || !mounted {
		return "", errors.Join(fmt.Errorf("no fuse.antares-actor on %s in the mount table", s.mnt), err)
	}
	s.isUp = true
	asked, err := s.requests()
	return fmt.Sprintf("%s in %d ms, after %d requests to the server", s.mnt, took.Milliseconds(), asked), err
}

// mounted tells whether the kernel has the mount.
func (s *stage) mounted() (bool, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, " "+s.mnt+" ") && strings.Contains(line, " - fuse.antares-actor ") {
			return true, nil
		}
	}
	return false, nil
}

// close takes everything down. failure is why the demo ended, nil if it did well; it is returned with what helps to understand it.
func (s *stage) close(keep bool, failure error) error {
	if mounted, _ := s.mounted(); failure != nil && s.isUp && !mounted {
		failure = errors.Join(failure, errors.New("somebody has unmounted it meanwhile"))
	}
	err := errors.Join(failure, s.takeDown())
	if err != nil && !errors.Is(err, errInterrupted) {
		err = errors.Join(err, s.logs())
	}
	mounted, merr := s.mounted()
	if mounted || merr != nil { // or what is removed next would be removed through the mount
		return errors.Join(err, merr, fmt.Errorf("the mount stays, and with it %s", s.dir))
	}
	if keep {
		fmt.Println("kept       ", s.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// takeDown unmounts, by force if it must be, and stops the server.
func (s *stage) takeDown() error {
	ctx := context.Background()
	var errs []error
	if mounted, _ := s.mounted(); mounted {
		if _, err := output(ctx, s.program, "unmount", s.mnt); err != nil {
			errs = append(errs, err)
			if _, err := output(ctx, "umount", "--lazy", s.mnt); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(append(errs, s.stopServer())...)
}

// stopServer ends the embedded server as a terminal would; it must end well.
func (s *stage) stopServer() error {
	if s.mono == nil {
		return nil
	}
	defer s.stopMono()
	patience := time.AfterFunc(briefly, s.stopMono)
	defer patience.Stop()
	_ = s.mono.Process.Signal(syscall.SIGTERM)
	err := s.mono.Wait()
	s.mono = nil
	if err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return nil
}

// logs are the ends of what the mount and the server said, for whoever has to find out what went wrong.
func (s *stage) logs() error {
	var errs []error
	for _, name := range []string{"mount.log", "mono.log", "stats.json"} {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil || len(b) == 0 {
			continue
		}
		lines := strings.SplitAfter(string(b), "\n")
		errs = append(errs, fmt.Errorf("the end of %s:\n%s", name, strings.Join(lines[max(0, len(lines)-50):], "")))
	}
	return errors.Join(errs...)
}
