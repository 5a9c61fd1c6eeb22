package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is a whole run, as results.json has it.
type report struct {
	Time        time.Time
	Machine     machine
	Corpus      corpusFacts
	Rounds      int
	Quick       bool `json:",omitempty"`
	Comparisons []*comparison
}

// machine is where the run took place.
type machine struct {
	Kernel string
	CPU    string
	CPUs   int
	Memory string
	Go     string
	Commit string // of the checkout
}

type corpusFacts struct {
	Name        string
	Files, Dirs int
}

// comparison is what was measured on one ground.
type comparison struct {
	Ground   string
	Order    []string // the workloads, as they ran
	Entrants []*entrant
	Samples  map[string]map[string][]float64 // workload, contender: microseconds an operation, a round each
	Failures []failure
}

// entrant is a contender in a comparison.
type entrant struct {
	Name, About string
	LeftOut     string  `json:",omitempty"` // why it did not take part
	ReadyMillis float64 `json:",omitempty"`
	PeakBytes   int64   `json:",omitempty"`
}

// failure is a contender that did not start, or did not do a workload's work.
type failure struct{ Contender, At, Error string }

func newReport(ctx context.Context, o *options) *report {
	return &report{Time: time.Now().UTC(), Machine: thisMachine(ctx), Corpus: corpusFacts{Name: o.corpus}, Rounds: o.rounds, Quick: o.quick}
}

func thisMachine(ctx context.Context) machine {
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	commit, err := command(ctx, "", nil, "git", "describe", "--always", "--dirty")
	if err != nil {
		commit = "unknown"
	}
	return machine{
		Kernel: unix.ByteSliceToString(uts.Release[:]),
		CPU:    procField("/proc/cpuinfo", "model name"),
		CPUs:   runtime.NumCPU(),
		Memory: procField("/proc/meminfo", "MemTotal"),
		Go:     runtime.Version(),
		Commit: strings.TrimSpace(commit),
	}
}

// procField is the value of the first "name : value" line.
func procField(path, name string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func (r *report) compare(ground string, order []string) *comparison {
	c := &comparison{Ground: ground, Order: order, Samples: make(map[string]map[string][]float64)}
	r.Comparisons = append(r.Comparisons, c)
	return c
}

func (r *report) failures() int {
	n := 0
	for _, c := range r.Comparisons {
		n += len(c.Failures)
	}
	return n
}

func (c *comparison) enter(k contender) *entrant {
	e := &entrant{Name: k.name, About: k.about}
	c.Entrants = append(c.Entrants, e)
	return e
}

func (c *comparison) entrant(name string) *entrant {
	i := slices.IndexFunc(c.Entrants, func(e *entrant) bool { return e.Name == name })
	return c.Entrants[i]
}

func (c *comparison) fail(contender, at string, err error) {
	progress("%s: %s failed at %s: %v", c.Ground, contender, at, err)
	c.Failures = append(c.Failures, failure{contender, at, err.Error()})
}

func (c *comparison) sample(workload, contender string, micros float64) {
	if c.Samples[workload] == nil {
		c.Samples[workload] = make(map[string][]float64)
	}
	c.Samples[workload][contender] = append(c.Samples[workload][contender], micros)
}

// median is the middle of the samples, of an even number the mean of the two; false when there are none.
func median(samples []float64) (float64, bool) {
	if len(samples) == 0 {
		return 0, false
	}
	s := slices.Sorted(slices.Values(samples))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid], true
	}
	return (s[mid-1] + s[mid]) / 2, true
}

// micros is a contender's median in a workload.
func (c *comparison) micros(workload, contender string) (float64, bool) {
	return median(c.Samples[workload][contender])
}

// ratio relates a contender's median to another's.
func (c *comparison) ratio(workload, contender, to string) (float64, bool) {
	a, ok := c.micros(workload, contender)
	if !ok {
		return 0, false
	}
	b, ok := c.micros(workload, to)
	return a / b, ok && b > 0
}

// write leaves results.md and results.json in dir and prints the former.
func (r *report) write(dir string, to io.Writer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	text := r.markdown()
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	for name, content := range map[string][]byte{"results.md": []byte(text), "results.json": append(b, '\n')} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	_, err = io.WriteString(to, text)
	return err
}
