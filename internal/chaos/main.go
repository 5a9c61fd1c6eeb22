package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/antares-actor/antares-actor/internal/chaos/load"
	"github.com/antares-actor/antares-actor/internal/chaos/worker"
	"github.com/antares-actor/antares-actor/internal/chaos/writer"
)

// jobVar gives a process of the run its job.
const jobVar = "ANTARES_CHAOS_JOB"

// The modes.
const (
	modeKill   = "kill"
	modeStop   = "stop"
	modeKeeper = "keeper"
	modeBoth   = "both"
)

// options are the command line.
type options struct {
	program  string
	kills    int
	mode     string
	seed     uint64
	trees    int
	calm     time.Duration
	limit    time.Duration
	baseline string
	fsx      string
	cache    string
	only     string
	scratch  string
	keep     bool
}

// roles are what a process of the run can be.
var roles = map[string]func(*worker.Worker) error{
	"writer": func(w *worker.Worker) error {
		id, err1 := strconv.Atoi(w.Args[0])
		trees, err2 := strconv.Atoi(w.Args[1])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		return writer.New(w, id, trees).Run()
	},
	"database": load.Database, "go build": load.Go, "cmake": load.C, "holder": load.Holder, "fsx": load.Fsx,
}

func main() {
	if job := os.Getenv(jobVar); job != "" {
		os.Exit(play(job))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if err == nil {
		err = chaos(ctx, o, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos: failed:", err)
		os.Exit(1)
	}
}

// play is what a process of the run does. It returns its exit status.
func play(text string) int {
	var job worker.Job
	err := json.Unmarshal([]byte(text), &job)
	if err == nil {
		err = os.Unsetenv(jobVar)
	}
	if err == nil {
		w := worker.Start(job, os.Stdin, os.Stdout)
		err = roles[job.Role](w)
		w.Report()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func parseOptions(args []string, errs io.Writer) (*options, error) {
	o := new(options)
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(errs)
	modes := []string{modeKill, modeStop, modeKeeper, modeBoth}
	f.StringVar(&o.program, "program", "bin/antares-actor", "the program to test")
	f.IntVar(&o.kills, "kills", 200, "how often to kill; 0: never, then -calm is all there is")
	f.StringVar(&o.mode, "mode", modeKill, "what is killed: "+strings.Join(modes, ", "))
	f.Uint64Var(&o.seed, "seed", 1, "of all that is drawn")
	f.IntVar(&o.trees, "trees", 120, "of the origin, for each writer: it works in two, and goes on to the next ones")
	f.DurationVar(&o.calm, "calm", 10*time.Second, "time without kills first, for comparison")
	f.DurationVar(&o.limit, "limit", 3*time.Minute, "how long a program may get nowhere")
	f.StringVar(&o.baseline, "baseline", "", "run in a new directory in this one, without a mount and without kills")
	f.StringVar(&o.fsx, "fsx", "", "xfstests' fsx, to run it as well")
	f.StringVar(&o.cache, "gocache", "", "build cache for go build (default a new one in the mount)")
	f.StringVar(&o.only, "only", "", "programs whose names begin so (default all)")
	f.StringVar(&o.scratch, "scratch", os.TempDir(), "directory for everything else")
	f.BoolVar(&o.keep, "keep", false, "leave the files")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case len(f.Args()) > 0:
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case !slices.Contains(modes, o.mode):
		return nil, fmt.Errorf("-mode %q: known are %s", o.mode, strings.Join(modes, ", "))
	case o.baseline != "" && o.kills > 0:
		return nil, errors.New("-baseline has nothing to kill: give -kills 0")
	}
	for _, p := range []*string{&o.program, &o.baseline, &o.fsx, &o.cache, &o.scratch} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, err
		}
		*p = abs
	}
	return o, nil
}
