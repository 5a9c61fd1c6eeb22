package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// defaultCorpus is a large Go module, pinned so that runs years apart read the same tree.
const defaultCorpus = "k8s.io/kubernetes@v1.30.0"

// options are what the command line says.
type options struct {
	corpus     string
	contenders []string
	extras     []string // name=command
	workloads  []string
	grounds    []string
	rounds     int
	quick      bool
	out        string
	scratch    string
	size       string
	timeout    time.Duration
}

// list is a comma separated flag.
type list struct{ to *[]string }

func (l list) String() string {
	if l.to == nil {
		return ""
	}
	return strings.Join(*l.to, ",")
}

func (l list) Set(s string) error {
	*l.to = strings.Split(s, ",")
	return nil
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	o := options{contenders: contenderNames(), workloads: workloadNames(), grounds: []string{groundExt4, groundTmpfs}}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.corpus, "corpus", defaultCorpus, "the tree: MODULE@VERSION, dir:PATH, or synthetic")
	f.Var(list{&o.contenders}, "contenders", "which to compare, in this order")
	f.Func("extra", "a contender NAME=COMMAND that serves in the foreground; may be repeated. {mnt} stands for the mountpoint, {src} "+
		"for a copy of the tree of its own, {lower} {upper} {work} {cache} {origin} for what the others get", func(s string) error {
		o.extras = append(o.extras, s)
		return nil
	})
	f.Var(list{&o.workloads}, "workloads", "which to run, in this order")
	f.Var(list{&o.grounds}, "grounds", "where the layers lie")
	f.IntVar(&o.rounds, "rounds", 5, "how often each workload runs on each contender")
	f.BoolVar(&o.quick, "quick", false, "a synthetic corpus, one round and small counts: shows that it works, not how fast")
	f.StringVar(&o.out, "out", "bench/results", "directory for results.md and results.json")
	f.StringVar(&o.scratch, "scratch", os.TempDir(), "directory for the repository and the loop device's image")
	f.StringVar(&o.size, "size", "8G", "size of the grounds")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "longest time that one run of one workload may take")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	given := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	o.settle(given)
	return o, o.check(f.Args())
}

// settle fills in what -quick means for the flags that were not given.
func (o *options) settle(given map[string]bool) {
	if !o.quick {
		return
	}
	if !given["corpus"] {
		o.corpus = "synthetic"
	}
	if !given["rounds"] {
		o.rounds = 1
	}
	if !given["workloads"] { // most of a build's time goes into compiling the standard library once
		o.workloads = slices.DeleteFunc(o.workloads, func(n string) bool { return n == "go-build" })
	}
}

func (o *options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if o.rounds < 1 {
		return errors.New("-rounds must be at least 1")
	}
	if err := known("-contenders", o.contenders, contenderNames()); err != nil {
		return err
	}
	if err := known("-workloads", o.workloads, workloadNames()); err != nil {
		return err
	}
	for _, e := range o.extras {
		if name, command, ok := strings.Cut(e, "="); !ok || name == "" || command == "" || strings.ContainsAny(name, "/ ") {
			return fmt.Errorf("-extra %q: want NAME=COMMAND", e)
		}
	}
	return known("-grounds", o.grounds, []string{groundExt4, groundTmpfs})
}

func known(flag string, got, names []string) error {
	for _, n := range got {
		if !slices.Contains(names, n) {
			return fmt.Errorf("%s: unknown name %q; known are %s", flag, n, strings.Join(names, ", "))
		}
	}
	return nil
}

// scale is how much each workload does.
type scale struct {
	Hot     int // files of the hot set
	Repeats int // passes over it
	Entries int // files and directories made and removed
	FileMiB int // size of the data file
	Random  int // random reads or writes in it
	Appends int // appends with fsync
	CopyUps int // small lower files written to, a round
}

func (o *options) scale() scale {
	if o.quick {
		return scale{Hot: 50, Repeats: 2, Entries: 50, FileMiB: 8, Random: 500, Appends: 5, CopyUps: 20}
	}
	return scale{Hot: 500, Repeats: 20, Entries: 500, FileMiB: 256, Random: 20000, Appends: 100, CopyUps: 200}
}

// largeMiB is the size of the lower files that the large copy-up takes.
func (o *options) largeMiB() int {
	if o.quick {
		return 2
	}
	return 32
}
