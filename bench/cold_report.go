package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// coldReport is a whole run of the cold cases.
type coldReport struct {
	Time     time.Time
	Machine  machine
	Rounds   int
	Parallel int
	Load     [2]string // of the machine at the beginning and at the end: running processes, mean of a minute
	Quick    bool      `json:",omitempty"`
	Rows     []*coldRow
	Failures []coldFailure
}

// coldRow is one measure of a case at one round trip time, a sample a round.
type coldRow struct {
	Case, Measure string
	Trip          time.Duration
	Ours          []float64
	Floor         []float64 `json:",omitempty"`
}

type coldFailure struct {
	Case  string
	Trip  time.Duration
	Error string
}

func newColdReport(ctx context.Context, o *coldOptions) *coldReport {
	return &coldReport{
		Time: time.Now().UTC(), Machine: thisMachine(ctx), Rounds: o.rounds, Parallel: o.parallel, Quick: o.quick, Load: [2]string{load(), ""},
	}
}

// busyNote is what a run beside other work needs said.
const busyNote = `**The machine had other work than this for most of the time.** A mount has more to do than the plain client, and so waits more
often for a core: times and their ratios are larger than on a quiet machine. Counts, memory and processor times are not.

`

// busy tells whether more processes wanted to run than there are cores, already before the run.
func (r *coldReport) busy() bool {
	before, err := strconv.ParseFloat(r.Load[0], 64)
	return err == nil && before > float64(r.Machine.CPUs)
}

// load is how many processes wanted to run within the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

func (r *coldReport) fail(name string, trip time.Duration, err error) {
	progress("%s, %v: failed: %v", name, trip, err)
	r.Failures = append(r.Failures, coldFailure{name, trip, err.Error()})
}

// row is the place for a measure's samples, made if it is not there.
func (r *coldReport) row(name, measure string, trip time.Duration) *coldRow {
	for _, row := range r.Rows {
		if row.Case == name && row.Measure == measure && row.Trip == trip {
			return row
		}
	}
	row := &coldRow{Case: name, Measure: measure, Trip: trip}
	r.Rows = append(r.Rows, row)
	return row
}

// verdict is what the medians say: the ratio to the floor if there is one, and whether what was asked is met.
func (row *coldRow) verdict(a asked) (ratio float64, hasRatio, met bool) {
	ours, ok := median(row.Ours)
	floor, hasFloor := median(row.Floor)
	if !ok {
		return 0, false, false
	}
	if hasFloor && floor > 0 {
		ratio, hasRatio = ours/floor, true
	}
	if a.ratio {
		return ratio, hasRatio, hasRatio && ratio <= a.limit
	}
	return ratio, hasRatio, ours <= a.limit
}

// write leaves the report at path, and its numbers as JSON in bench/results.
func (r *coldReport) write(path string) error {
	r.Load[1] = load()
	text := r.markdown()
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	for name, content := range map[string][]byte{path: []byte(text), "bench/results/cold.json": append(b, '\n')} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

const coldMethod = `The origin is this repository's Mega-compatible server, in a process of its own on the same machine, with its objects in
memory. Between it and its clients is a round trip time: each connection takes half of it in each direction, at any bandwidth,
and a whole one more to be made. (Netem of tc would do the same; many kernels are built without it, and a proxy would copy
each byte twice more on the same cores.) There is no loss, no slow start and no limit of bandwidth, for nobody.

Each run has a mount that has never been: an empty cache, on an ext4 made for the whole, and a kernel that knows nothing of it.
That it was cold is checked by the requests that the server got. In each round the plain client and the mount take turns. The
plain client knows the ids of all objects beforehand, asks for %d at once by the same protocol, and does nothing with what
comes: no hashing, no disk, no listings. What pinning the head asks for, the root's tree more than once, is no part of the
counts of objects. Origin, plain client, engine and reader share the machine's cores.
`

func (r *coldReport) markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# A cold mount and its origin, %s\n\n", m.Commit)
	if r.Quick {
		b.WriteString("A quick run: it shows that everything works. Its numbers mean nothing.\n\n")
	}
	fmt.Fprintf(&b, "`go run ./bench cold` wrote this. %s, Linux %s, %s, %d CPUs, %s, %s. Medians of %d rounds;\n"+
		"load average %s at the beginning, %s at the end.\n\n",
		r.Time.Format("2006-01-02"), m.Kernel, m.CPU, m.CPUs, m.Memory, m.Go, r.Rounds, r.Load[0], r.Load[1])
	if r.busy() {
		b.WriteString(busyNote)
	}
	fmt.Fprintf(&b, coldMethod, r.Parallel)
	for _, c := range coldCases() {
		r.section(&b, c)
	}
	for i, f := range r.Failures {
		if i == 0 {
			b.WriteString("\n## Failures\n\n")
		}
		fmt.Fprintf(&b, "- %s, round trip %v: %s\n", f.Case, f.Trip, strings.ReplaceAll(f.Error, "\n", "; "))
	}
	return b.String()
}

func (r *coldReport) section(b *strings.Builder, c coldCase) {
	begun := false
	for _, m := range c.measures {
		for _, row := range r.Rows {
			if row.Case != c.name || row.Measure != m.name {
				continue
			}
			if !begun {
				fmt.Fprintf(b, "\n## %s\n\n%s.\n\n| | round trip | antares | compared with | | ratio | asked | |\n|---|---:|---:|---|---:|---:|---|---|\n",
					c.name, upperFirst(c.about))
				begun = true
			}
			row.markdown(b, m)
		}
	}
}

func (row *coldRow) markdown(b *strings.Builder, m measure) {
	a := m.asked(row.Trip)
	ratio, hasRatio, met := row.verdict(a)
	var against, floor, relation, limit, verdict string
	if v, ok := median(row.Floor); ok {
		against, floor = m.floor, amount(v, m.unit)
	}
	if hasRatio {
		relation = fmt.Sprintf("%.2f", ratio)
	}
	if a != (asked{}) {
		limit, verdict = a.text(m.unit), "**not met**"
		if met {
			verdict = "met"
		}
	}
	ours, ok := median(row.Ours)
	text := amount(ours, m.unit)
	if !ok {
		text = "failed"
	}
	fmt.Fprintf(b, "| %s | %v | %s | %s | %s | %s | %s | %s |\n", m.name, row.Trip, text, against, floor, relation, limit, verdict)
}

func (a asked) text(unit string) string {
	switch {
	case a.ratio:
		return fmt.Sprintf("at most %.1f times", a.limit)
	case a.limit == none:
		return "none"
	}
	return strings.TrimSpace(fmt.Sprintf("at most %g %s", a.limit, unit))
}

// amount writes a number of a measure. One without a unit is a count or a mean of counts, where the last digit may matter.
func amount(v float64, unit string) string {
	if unit == "" {
		return strconv.FormatFloat(math.Round(v*1e4)/1e4, 'f', -1, 64)
	}
	return digits(v) + " " + unit
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
