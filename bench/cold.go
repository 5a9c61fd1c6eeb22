package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// cold measures reading through a mount whose origin is a server some way off, and nothing of which is cached.
type cold struct {
	coldOptions
	scratch string
	ground  *ground // of all caches and uppers
	binary  string
	trees   map[string]*coldTree
	addrs   map[time.Duration]string // the origin's, by round trip time
	report  *coldReport
	mounts  int // made so far
}

// runCold generates the repositories, starts the origin, runs all cases and writes the report.
func runCold(ctx context.Context, o coldOptions, scratch string) (err error) {
	defer os.RemoveAll(scratch) // the outer process does so too; it may have been killed
	c := &cold{coldOptions: o, scratch: scratch, report: newColdReport(ctx, &o)}
	if c.binary, err = c.build(ctx); err != nil {
		return err
	}
	if c.trees, err = o.coldTrees(ctx, scratch); err != nil {
		return err
	}
	var u undo
	defer func() { err = errors.Join(err, u.run()) }()
	c.ground = &ground{name: groundExt4, dir: filepath.Join(scratch, groundExt4)}
	if err := os.Mkdir(c.ground.dir, 0o755); err != nil {
		return err
	}
	if err := c.ground.mount(ctx, o.ground, scratch, &u); err != nil {
		return err
	}
	if err := c.startOrigin(&u); err != nil {
		return err
	}
	if err := c.warm(ctx); err != nil {
		return err
	}
	for round := range o.rounds {
		if err := c.round(ctx, round); err != nil {
			return err
		}
	}
	if _, err := os.Stdout.WriteString(c.report.markdown()); err != nil {
		return err
	}
	if n := len(c.report.Failures); n > 0 {
		return fmt.Errorf("%d failures, listed in the report", n)
	}
	return nil
}

// round runs each case once at each of its round trip times, and writes the report: a run that is interrupted has that of the
// rounds before.
func (c *cold) round(ctx context.Context, round int) error {
	for _, k := range c.chosenCases() {
		for _, trip := range c.trips {
			if !c.takes(k, trip) {
				continue
			}
			progress("round %d of %d: %s, %v", round+1, c.rounds, k.name, trip)
			if err := c.turn(ctx, k, trip); err != nil {
				return err
			}
		}
	}
	c.report.Rounds = round + 1
	return c.report.write(c.out)
}

func (c *cold) build(ctx context.Context) (string, error) {
	if c.program != "" {
		return filepath.Abs(c.program)
	}
	root, err := checkoutDir(ctx)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(c.scratch, "antares-actor")
	_, err = command(ctx, root, nil, "go", "build", "-o", binary, "./cmd/antares-actor")
	return binary, err
}

// startOrigin runs this program again as the server of all repositories.
func (c *cold) startOrigin(u *undo) error {
	t := originTask{Repos: make(map[string]string), Trips: c.trips}
	for name, tree := range c.trees {
		t.Repos[name] = tree.dir
	}
	cmd, in, out, err := startSelf(roleOrigin)
	if err != nil {
		return fmt.Errorf("start the origin: %w", err)
	}
	u.add(func() error { return errors.Join(in.Close(), cmd.Wait()) })
	if err := json.NewEncoder(in).Encode(t); err != nil {
		return fmt.Errorf("start the origin: %w", err)
	}
	var addrs []string
	if err := json.NewDecoder(out).Decode(&addrs); err != nil || len(addrs) != len(c.trips) {
		return fmt.Errorf("start the origin: it gave %d addresses: %w", len(addrs), err)
	}
	c.addrs = make(map[time.Duration]string)
	for i, trip := range c.trips {
		c.addrs[trip] = addrs[i]
	}
	return nil
}

// startSelf runs this program again in a role, with pipes to it.
func startSelf(role string) (*exec.Cmd, io.WriteCloser, io.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), roleVar+"="+role), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	return cmd, in, out, cmd.Start()
}

// url is a repository's base at a round trip time.
func (c *cold) url(tree string, trip time.Duration) string {
	return "http://" + c.addrs[trip] + "/" + tree
}

// warm has the origin read everything into its memory, at the first round trip time.
func (c *cold) warm(ctx context.Context) error {
	for name, tree := range c.trees {
		progress("origin: reading %s", name)
		paths := tree.treePaths()
		if name != "wide" { // its files are for listing only
			paths = append(paths, tree.blobPaths()...)
		}
		if tree.old != tree.head {
			paths = append(paths, tree.oldPaths()...)
		}
		if _, _, err := c.fetch(ctx, name, c.trips[0], paths); err != nil {
			return fmt.Errorf("origin: %s: %w", name, err)
		}
	}
	return nil
}

// fetch runs the plain client and returns the seconds that it took, and those of its processors' time.
func (c *cold) fetch(ctx context.Context, tree string, trip time.Duration, paths []string) (took, cpu float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	task, err := json.Marshal(floorTask{Base: c.url(tree, trip), Paths: paths, Parallel: c.parallel})
	if err != nil {
		return 0, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env, cmd.Stdin, cmd.Stderr = append(os.Environ(), roleVar+"="+roleFloor), bytes.NewReader(task), os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	answer, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("plain client: %w", errors.Join(err, context.Cause(ctx)))
	}
	var got floorOutcome
	if err := json.Unmarshal(answer, &got); err != nil {
		return 0, 0, fmt.Errorf("plain client: %w", err)
	}
	if got.Error != "" {
		return 0, 0, fmt.Errorf("plain client: %s", got.Error)
	}
	return time.Duration(got.Nanos).Seconds(), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}

// tally takes a repository's counts since the last time. Asked at the first round trip time, it is no part of them.
func (c *cold) tally(ctx context.Context, tree string, trip time.Duration) (tallied, error) {
	var t tallied
	url := fmt.Sprintf("%s%s?lag=%s", c.url(tree, c.trips[0]), tallyPath, trip)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return t, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return t, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return t, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return t, json.NewDecoder(resp.Body).Decode(&t)
}

// shell runs a script in a directory, and returns the seconds that it took and what it wrote.
func (c *cold) shell(ctx context.Context, dir, script string, args ...string) (float64, string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "sh"}, args...)...)
	var out, said bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began).Seconds()
	if text := strings.TrimSpace(said.String()); err != nil || text != "" {
		return 0, "", fmt.Errorf("%s: %w: %.300s", script, errors.Join(err, context.Cause(ctx), errSaid), text)
	}
	return took, strings.TrimSpace(out.String()), nil
}

// errSaid marks a command that wrote to standard error: tar and find go on after an error.
var errSaid = errors.New("it complained or failed")
