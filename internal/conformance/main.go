package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// scratchVar tells the process that runs in the mount namespace where its files are.
const scratchVar = "ANTARES_CONFORMANCE_SCRATCH"

// options are the command line.
type options struct {
	suite      string
	path       string
	contenders []string
	limit      time.Duration
	scratch    string
	size       string
	ground     string
	seeds, ops int
	args       string
	logs       string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := dispatch(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func dispatch(ctx context.Context) error {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if err != nil {
		return err
	}
	if scratch := os.Getenv(scratchVar); scratch != "" {
		return run(ctx, o, scratch)
	}
	return isolate(ctx, o)
}

func parseOptions(args []string, errs io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.SetOutput(errs)
	var chosen string
	f.StringVar(&o.suite, "suite", "", "which suite: "+strings.Join(suiteNames(), ", "))
	f.StringVar(&o.path, "path", "", "directory of the suite, built; for fsx the program")
	f.StringVar(&chosen, "contenders", strings.Join(contenderNames(), ","), "what to run it on")
	f.DurationVar(&o.limit, "limit", time.Hour, "longest time on one contender")
	f.StringVar(&o.scratch, "scratch", os.TempDir(), "directory for the loop device's image")
	f.StringVar(&o.size, "size", "16G", "size of the file systems")
	f.StringVar(&o.ground, "ground", "ext4", "type of the file system that the layers lie on")
	f.IntVar(&o.seeds, "seeds", 10, "fsx: how many seeds")
	f.IntVar(&o.ops, "ops", 1_000_000, "fsx: operations of a seed")
	f.StringVar(&o.args, "args", "", "further arguments of the suite: names of tests")
	f.StringVar(&o.logs, "logs", "", "xfstests: directory to leave its results in")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if len(f.Args()) > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if _, ok := suites[o.suite]; !ok {
		return nil, fmt.Errorf("-suite %q: known are %s", o.suite, strings.Join(suiteNames(), ", "))
	}
	o.contenders = strings.Split(chosen, ",")
	for _, name := range o.contenders {
		if contenders[name] == nil {
			return nil, fmt.Errorf("-contenders %q: known are %s", name, strings.Join(contenderNames(), ", "))
		}
	}
	if o.path == "" {
		return nil, errors.New("-path is missing: where the suite is")
	}
	var err error
	if o.path, err = filepath.Abs(o.path); err != nil {
		return nil, err
	}
	_, err = os.Stat(o.path)
	return o, err
}

// isolate starts this program again in a mount namespace, which takes every mount with it when it ends.
func isolate(ctx context.Context, o *options) error {
	if os.Geteuid() != 0 {
		return errors.New("run it as root: it makes a loop device and mounts")
	}
	scratch, err := os.MkdirTemp(o.scratch, "antares-conformance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if scratch, err = filepath.Abs(scratch); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o755); err != nil { // suites act as other users, too
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), scratchVar+"="+scratch)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd.Run()
}

// run runs the suite on each contender and prints the report.
func run(ctx context.Context, o *options, scratch string) error {
	g, err := makeGround(ctx, o, scratch)
	if err != nil {
		return err
	}
	defer g.close()
	var outcomes []outcome
	for _, name := range o.contenders {
		fmt.Fprintf(os.Stderr, "%s on %s\n", o.suite, name)
		began := time.Now()
		out, err := suites[o.suite](ctx, o, g, name)
		if err != nil {
			return fmt.Errorf("%s on %s: %w", o.suite, name, err)
		}
		for i := range out {
			out[i].contender = name
			out[i].took = time.Since(began)
		}
		outcomes = append(outcomes, out...)
		printOutcomes(os.Stderr, out)
	}
	report(ctx, os.Stdout, o, outcomes)
	return nil
}
