package main

import (
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

	"github.com/antares-actor/antares-actor/internal/chaos/load"
	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

// writers is how many there are.
const writers = 4

// commandLimit is for commands that hang.
const commandLimit = time.Minute

// stage is where the run happens.
type stage struct {
	o       *options
	dir     string // everything is below it
	program string // a copy of the one to test: another build must not come in between
	repo    string
	point   string // the mountpoint, or the plain directory
	upper   string
	log     string // of the engine and the keeper
	mounted bool
	device  string // of the mount, which is also the name of its connection
}

// newStage makes the repository, and the mount or the plain directory.
func newStage(ctx context.Context, o *options) (s *stage, err error) {
	parent := o.scratch
	if o.baseline != "" {
		parent = o.baseline
	}
	dir, err := os.MkdirTemp(parent, "antares-chaos-")
	if err != nil {
		return nil, err
	}
	s = &stage{
		o: o, dir: dir, program: filepath.Join(dir, "antares-actor"), repo: filepath.Join(dir, "repo"), point: filepath.Join(dir, "mnt"), upper: filepath.Join(dir, "upper"), log: filepath.Join(dir, "log"),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, d := range []string{"mnt", "home", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return s, err
		}
	}
	if err := s.makeRepo(ctx); err != nil {
		return s, err
	}
	if o.baseline == "" {
		if _, err := s.command(ctx, "cp", o.program, s.program); err != nil {
			return s, err
		}
	} else {
		script := "git -C " + s.repo + " -c tar.umask=0022 archive HEAD | tar -x -p -C " + s.point
		_, err := s.command(ctx, "bash", "-euo", "pipefail", "-c", script)
		return s, err
	}
	return s, s.mount(ctx)
}

// makeRepo commits what the programs expect.
func (s *stage) makeRepo(ctx context.Context) error {
	var in bytes.Buffer
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.org> %d +0000\ndata 5\nchaos\n", model.OriginTime)
	add := func(mode, path string, data []byte) {
		fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, path, len(data), data)
	}
	for i := range writers {
		model.Origin(s.o.seed, i, s.o.trees).Walk(func(p model.Place) {
			switch n := p.Node(); {
			case n.IsFile():
				add(fmt.Sprintf("100%o", n.Mode), p.Path(), n.Data)
			case !n.IsDir():
				add("120000", p.Path(), []byte(n.Target))
			}
		})
	}
	cuts := 0
	if s.o.mode == modeBoth {
		cuts = s.o.kills
	}
	for path, data := range load.Files(s.o.seed, cuts) {
		add("100644", path, data)
	}
	if _, err := s.command(ctx, "git", "init", "-q", "-b", "main", s.repo); err != nil {
		return err
	}
	cmd, cancel := s.prepare(ctx, "git", "-C", s.repo, "fast-import", "--quiet")
	defer cancel()
	cmd.Stdin = &in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git fast-import: %w\n%s", err, out)
	}
	return nil
}

// mount mounts, also over what a killed mount left.
func (s *stage) mount(ctx context.Context) error {
	_, err := s.command(ctx, s.program, "mount", "--detach", "--log-file", s.log, "--origin", "git:"+s.repo, "--upper", s.upper,
		"--cache", filepath.Join(s.dir, "cache"), s.point)
	if err != nil {
		return err
	}
	s.mounted = true
	return s.findDevice()
}

func (s *stage) unmount(ctx context.Context) error {
	_, err := s.command(ctx, s.program, "unmount", s.point)
	s.mounted = s.mounted && err != nil
	return err
}

// fsck fails if there is anything wrong with upper.
func (s *stage) fsck(ctx context.Context) error {
	out, err := s.command(ctx, s.program, "fsck", s.upper)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// prepare returns a command that is killed, with all that it started, when its time is over.
func (s *stage) prepare(ctx context.Context, name string, args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = s.env(), s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd, cancel
}

// command runs a command and returns what it prints.
func (s *stage) command(ctx context.Context, name string, args ...string) (string, error) {
	cmd, cancel := s.prepare(ctx, name, args...)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, &stderr)
	}
	return stdout.String(), nil
}

// env is the environment of all processes: nothing of this user's configuration.
func (s *stage) env() []string {
	home := filepath.Join(s.dir, "home")
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + filepath.Join(s.dir, "tmp"), "LC_ALL=C", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*", "GOPATH=" + filepath.Join(home, "go"),
	}
	for _, name := range []string{"GOMAXPROCS", "GOROOT", "GORACE"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// close takes the mount away, by force if need be, and removes everything.
func (s *stage) close() error {
	var err error
	if s.mounted {
		ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
		defer cancel()
		if err = s.unmount(ctx); err != nil {
			s.abort()
			err = syscall.Unmount(s.point, syscall.MNT_DETACH)
		}
	}
	_ = syscall.Unmount(filepath.Join(s.dir, "connections"), 0)
	if s.o.keep {
		fmt.Fprintln(os.Stderr, "chaos: files are in", s.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
