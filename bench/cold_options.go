package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// coldOptions are what the command line of `bench cold` says.
type coldOptions struct {
	trips    []time.Duration
	cases    []string
	rounds   int
	parallel int
	quick    bool
	out      string
	scratch  string
	program  string
	ground   string
	timeout  time.Duration
}

// coldSize is how large the trees are.
type coldSize struct {
	Groups, Dirs, Files int // of "tar": groups of directories, files in each
	Bytes               int // of its files, at most
	SmallDirs, Small    int // of "small": directories, files of 4 KiB in each
	LargeMiB            int
	WideGroups, Wide    int // of "wide": groups, directories in each
	WideFiles           int // files in each directory
	Mounts              int
}

func (o *coldOptions) size() coldSize {
	if o.quick {
		return coldSize{Groups: 4, Dirs: 4, Files: 5, Bytes: 16 << 10, SmallDirs: 4, Small: 10, LargeMiB: 16, WideGroups: 5, Wide: 9,
			WideFiles: 5, Mounts: 3}
	}
	return coldSize{Groups: 25, Dirs: 39, Files: 10, Bytes: 16 << 10, SmallDirs: 10, Small: 100, LargeMiB: 1024, WideGroups: 100, Wide: 49,
		WideFiles: 20, Mounts: 50}
}

func parseColdOptions(args []string, usage io.Writer) (coldOptions, error) {
	o := coldOptions{cases: coldCaseNames()}
	trips := []string{"0", "1ms", "5ms", "20ms"}
	f := flag.NewFlagSet("bench cold", flag.ContinueOnError)
	f.SetOutput(usage)
	f.Var(list{&trips}, "trips", "round trip times to the origin")
	f.Var(list{&o.cases}, "cases", "which to run, in this order")
	f.IntVar(&o.rounds, "rounds", 5, "how often each runs")
	f.IntVar(&o.parallel, "parallel", 64, "how many requests the plain client has under way")
	f.BoolVar(&o.quick, "quick", false, "one round over small trees: shows that it works, not how fast; the report goes to bench/results")
	f.StringVar(&o.out, "out", "bench/COLD.md", "the report")
	f.StringVar(&o.scratch, "scratch", os.TempDir(), "directory for the repositories, and for the image of that file system")
	f.StringVar(&o.ground, "size", "32G", "size of the file system of the caches and uppers")
	f.StringVar(&o.program, "program", "", "the antares-actor to measure; built from the checkout if not given")
	f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "longest time that one command may take")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	given := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick && !given["rounds"] {
		o.rounds = 1
	}
	if o.quick && !given["out"] {
		o.out = "bench/results/cold.md"
	}
	for _, t := range trips {
		d, err := time.ParseDuration(t)
		if err != nil || d < 0 {
			return o, fmt.Errorf("-trips: %q is no time", t)
		}
		o.trips = append(o.trips, d)
	}
	return o, o.check(f.Args())
}

func (o *coldOptions) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.rounds < 1:
		return errors.New("-rounds must be at least 1")
	case o.parallel < 1:
		return errors.New("-parallel must be at least 1")
	case len(o.trips) == 0:
		return errors.New("-trips: name at least one")
	}
	return known("-cases", o.cases, coldCaseNames())
}

// takes tells whether a case runs at a round trip time.
func (o *coldOptions) takes(c coldCase, trip time.Duration) bool {
	return c.trips == nil || slices.Contains(c.trips, trip) || len(o.trips) == 1
}
