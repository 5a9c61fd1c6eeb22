package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/antares-actor/antares-actor/fusebridge"
)

// ground is the file system that all layers lie on, and the program under test.
type ground struct {
	dir     string // where it is mounted
	scratch string // outside of it
	bin     string // a directory with antares-actor, the first of PATH
	serial  int
}

const installedHelper = "/sbin/mount.fuse.antares-actor"

func makeGround(ctx context.Context, o *options, scratch string) (*ground, error) {
	if err := fusebridge.LeaveAll(); err != nil {
		return nil, err
	}
	g := &ground{dir: filepath.Join(scratch, "ground"), scratch: scratch, bin: filepath.Join(scratch, "bin")}
	for _, dir := range []string{g.dir, g.bin, filepath.Join(scratch, "home")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if _, err := command(ctx, "go", "build", "-o", g.bin+"/antares-actor", "./cmd/antares-actor"); err != nil {
		return nil, err
	}
	// A helper that is installed would be another version: ours covers it here.
	if _, err := os.Stat(installedHelper); err == nil {
		if err := syscall.Mount(g.bin+"/antares-actor", installedHelper, "", syscall.MS_BIND, ""); err != nil {
			return nil, err
		}
	}
	// mount(8) leaves to fuse3's helper the types that have none of their own, and that one looks in PATH.
	if err := os.Setenv("PATH", g.bin+":"+os.Getenv("PATH")); err != nil {
		return nil, err
	}
	if err := errors.Join(os.Setenv("HOME", filepath.Join(scratch, "home")), os.Setenv("LC_ALL", "C")); err != nil {
		return nil, err
	}
	image, err := g.image(ctx, "ground.img", o.ground, o.size)
	if err != nil {
		return nil, err
	}
	_, err = command(ctx, "mount", "-t", o.ground, "-o", "loop", image, g.dir)
	return g, err
}

// image makes a file with an empty file system.
func (g *ground) image(ctx context.Context, name, kind, size string) (string, error) {
	path := filepath.Join(g.scratch, name)
	if _, err := command(ctx, "truncate", "-s", size, path); err != nil {
		return "", err
	}
	_, err := command(ctx, "mkfs."+kind, "-q", path)
	return path, err
}

// close takes away every mount that is left below scratch. A server that detached is in this mount namespace too, and would
// keep it, and so its own mount, for ever.
func (g *ground) close() {
	points := mountpoints(func(point, _, _ string) bool { return strings.HasPrefix(point, g.scratch+"/") })
	for _, point := range slices.Backward(points) {
		_ = syscall.Unmount(point, syscall.MNT_DETACH)
	}
}

// mountpoints are those in this namespace that suit, the latest last.
func mountpoints(suits func(point, device, kind string) bool) []string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close()
	var points []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, kind, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) > 4 && suits(fields[4], fields[2], kind) {
			points = append(points, fields[4])
		}
	}
	return points
}

// fresh makes a new directory on the ground with empty ones in it, and returns it.
func (g *ground) fresh(names ...string) (string, error) {
	g.serial++
	dir := filepath.Join(g.dir, fmt.Sprint(g.serial))
	for _, name := range append([]string{""}, names...) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// command runs a program to its end and returns what it printed.
func command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	// What the commands start, such as servers that detach, must not keep us waiting for the end of the output.
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// limited runs one command of a suite. When its time is over, all that waits for a server is freed, and it is killed; late
// tells so.
func (g *ground) limited(ctx context.Context, limit time.Duration, dir string, env []string, name string, args ...string) (out string, code int, late bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error {
		late = true
		g.abortServers()
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case late || errors.Is(err, exec.ErrWaitDelay):
		err = nil
	case errors.As(err, &exit):
		code, err = exit.ExitCode(), nil
	}
	return string(text), code, late, err
}

// abortServers ends every call that waits for a FUSE server below scratch.
func (g *ground) abortServers() {
	mountpoints(func(point, device, kind string) bool {
		id, ok := strings.CutPrefix(device, "0:")
		if ok && strings.HasPrefix(kind, "fuse.") && strings.HasPrefix(point, g.scratch+"/") {
			_ = os.WriteFile("/sys/fs/fuse/connections/"+id+"/abort", []byte("1"), 0)
		}
		return false
	})
}
