package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// coldCase is one thing to do with a cold mount.
type coldCase struct {
	name     string
	about    string
	trees    []string        // the repositories that it needs
	trips    []time.Duration // round trip times at which it runs; nil: all
	measures []measure
	run      func(ctx context.Context, t *turn) error
}

// measure is a number that a case gives, and what it should be.
type measure struct {
	name  string
	unit  string
	floor string // what it is compared with; "" for nothing
	asked func(trip time.Duration) asked
}

// asked is a limit: of the number, or of its ratio to the floor's. The zero asked is none.
type asked struct {
	limit float64
	ratio bool
}

// secondMount is what a mount needs when its cache has everything: the time that the kernel's requests alone take.
const secondMount = "time of the next mount, with nothing left to fetch"

func nothing(time.Duration) asked { return asked{} }

func atMost(limit float64) func(time.Duration) asked {
	return func(time.Duration) asked { return asked{limit: limit} }
}

// atMostAt asks at one round trip time only.
func atMostAt(at time.Duration, a asked) func(time.Duration) asked {
	return func(trip time.Duration) asked {
		if trip != at {
			return asked{}
		}
		return a
	}
}

const plainClient = "plain client"

// cpuTime says less than time, but a machine with other things to do leaves it as it is.
const cpuTime = "processor time"

// none is a limit of zero, which must differ from no limit.
const none = 1e-9

// again counts the objects that were asked for more than once.
func again() measure { return measure{"objects asked for again", "", "", atMost(none)} }

// hedged counts the requests that were sent twice since the answer was late, as they should be. What is asked for again and was
// not late is a defect.
const hedged = "of these late, and so sent twice"

// near is where the cases run that are about more than time.
func near() []time.Duration { return []time.Duration{5 * time.Millisecond} }

func coldCases() []coldCase { return append(readingCases(), otherCases()...) }

func readingCases() []coldCase {
	return []coldCase{
		{
			"tar", "tar reads 10,000 files of 1 byte to 16 KiB in 1,000 directories", []string{"tar"}, nil,
			[]measure{
				{"time", "s", plainClient, atMostAt(5*time.Millisecond, asked{1.5, true})},
				{cpuTime, "s", plainClient, nothing}, {"requests", "", "", nothing}, {"requests at once, mean", "", "", nothing}, again(),
				{secondMount, "s", plainClient, nothing},
			},
			coldTar("tar"),
		},
		{
			"small", "tar reads 1,000 files of 4 KiB in 10 directories", []string{"small"}, nil,
			[]measure{
				{"time", "s", plainClient, atMostAt(time.Millisecond, asked{0.6, false})},
				{cpuTime, "s", plainClient, nothing}, {"requests", "", "", nothing}, {"requests at once, mean", "", "", nothing}, again(),
				{secondMount, "s", plainClient, nothing},
			},
			coldTar("small"),
		},
		{
			"large", "cat reads a file of 1 GiB", []string{"large"}, nil,
			[]measure{
				{"time", "s", "curl -o /dev/null", func(time.Duration) asked { return asked{1.2, true} }},
				{"time, both to disk", "s", "curl -o FILE", nothing},
			},
			coldLarge,
		},
		{
			"memory", "largest resident set of the engine while cat reads a file of 1 GiB", []string{"large", "quarter"}, near(),
			[]measure{{"peak memory", "MiB", "256 MiB", func(time.Duration) asked { return asked{1.2, true} }}},
			coldMemory,
		},
	}
}

func otherCases() []coldCase {
	return []coldCase{
		{
			"find", "find lists 100,000 files in 5,001 directories", []string{"wide"}, near(),
			[]measure{
				{"time", "s", plainClient, nothing},
				{cpuTime, "s", plainClient, nothing},
				{"requests a directory", "", "", atMost(1)},
				{"requests at once", "", "", atMost(64)},
				{"blob requests", "", "", atMost(none)},
			},
			coldFind,
		},
		{
			"moved", "find lists 1,001 directories of a commit that is no longer the head; all have changed", []string{"tar", "moved"}, near(),
			[]measure{
				{"time", "s", "the same at the head", nothing},
				{"requests a directory", "", "", nothing},
			},
			coldMoved,
		},
		{
			"first byte", "from the start of `mount --detach` until the first byte of a file is read", []string{"small"}, nil,
			[]measure{
				{"ready", "ms", "", nothing},
				{"first byte", "ms", "", func(trip time.Duration) asked { return asked{limit: 3*float64(trip.Milliseconds()) + 50} }},
				{"requests", "", "", nothing},
			},
			coldFirst,
		},
		{
			"mounts", "50 mounts of one commit in one engine; tar reads 1,000 files in each, all at once", []string{"small"}, near(),
			[]measure{
				again(),
				{hedged, "", "", nothing},
				{"memory a further mount, unread", "MiB", "", atMost(8)},
				{"memory a further mount, read", "MiB", "", atMost(8)},
				{"time of the slowest", "s", "one mount", nothing},
			},
			coldMounts,
		},
	}
}

func coldCaseNames() []string {
	var names []string
	for _, c := range coldCases() {
		names = append(names, c.name)
	}
	return names
}

// chosenCases are those of this run, in the order of the command line.
func (o *coldOptions) chosenCases() []coldCase {
	var out []coldCase
	for _, name := range o.cases {
		out = append(out, coldCases()[slices.Index(coldCaseNames(), name)])
	}
	return out
}

// coldTar reads everything, by a mount that has never been and by one after it.
func coldTar(tree string) func(context.Context, *turn) error {
	return func(ctx context.Context, t *turn) error {
		if err := t.floor(ctx, tree, t.trees[tree].blobPaths()); err != nil {
			return err
		}
		s, err := t.site(tree)
		if err != nil {
			return err
		}
		got, took, cpu, err := t.tar(ctx, s, tree)
		if err != nil {
			return err
		}
		if got.Routes[blobRoute] < len(t.trees[tree].files) {
			return fmt.Errorf("not cold: %d requests for %d files", got.Routes[blobRoute], len(t.trees[tree].files))
		}
		t.note("time", took)
		t.note(cpuTime, cpu)
		t.note("requests", float64(got.Requests))
		t.note("requests at once, mean", math.Round(got.Busy.Seconds()/took*10)/10)
		t.note("objects asked for again", float64(got.Repeated))
		if got, took, _, err = t.tar(ctx, s, tree); err != nil {
			return err
		}
		if got.Routes[blobRoute] > 0 {
			return fmt.Errorf("the next mount made %d requests for files", got.Routes[blobRoute])
		}
		t.note(secondMount, took)
		if floor := t.report.row(t.name, "time", t.trip).Floor; len(floor) > 0 {
			t.against(secondMount, floor[len(floor)-1])
		}
		return nil
	}
}

// tar mounts, reads everything and unmounts. GNU tar reads nothing if its output is /dev/null.
func (t *turn) tar(ctx context.Context, s *site, tree string) (got tallied, took, cpu float64, err error) {
	d, err := t.mountAt(ctx, s, tree)
	if err != nil {
		return got, 0, 0, err
	}
	took, out, err := t.shell(ctx, d.mnt, "tar cf - . | wc -c")
	if err != nil {
		return got, 0, 0, err
	}
	if n, err := strconv.ParseInt(out, 10, 64); err != nil || n < t.trees[tree].bytes {
		return got, 0, 0, fmt.Errorf("tar wrote %q bytes; the files have %d", out, t.trees[tree].bytes)
	}
	if cpu, err = d.cpu(); err != nil {
		return got, 0, 0, err
	}
	if got, err = t.tally(ctx, tree, t.trip); err != nil {
		return got, 0, 0, err
	}
	return got, took, cpu, d.stop()
}

func coldLarge(ctx context.Context, t *turn) error {
	tree := t.trees["large"]
	url := t.url("large", t.trip) + tree.blobPaths()[0]
	took, _, err := t.shell(ctx, t.scratch, `curl -sSf -o /dev/null "$1"`, url)
	if err != nil {
		return err
	}
	t.against("time", took)
	if err := settleDisk(t.ground.dir); err != nil {
		return err
	}
	file := filepath.Join(t.ground.dir, "curl.out")
	t.undo.add(func() error { return os.Remove(file) })
	if took, _, err = t.shell(ctx, t.scratch, `curl -sSf -o "$2" "$1"`, url, file); err != nil {
		return err
	}
	t.against("time, both to disk", took)
	took, _, err = t.cat(ctx, "large")
	if err != nil {
		return err
	}
	t.note("time", took)
	t.note("time, both to disk", took)
	return nil
}

// cat reads a tree's one large file, and returns the engine's peak of memory as well.
func (t *turn) cat(ctx context.Context, tree string) (seconds, peakMiB float64, err error) {
	d, err := t.mount(ctx, tree)
	if err != nil {
		return 0, 0, err
	}
	if seconds, _, err = t.shell(ctx, d.mnt, "cat one.bin >/dev/null"); err != nil {
		return 0, 0, err
	}
	got, err := t.tally(ctx, tree, t.trip)
	if err == nil && got.Bytes < t.trees[tree].bytes {
		err = fmt.Errorf("not cold: %d bytes came of %d", got.Bytes, t.trees[tree].bytes)
	}
	return seconds, float64(d.peak()) / (1 << 20), err
}

func coldMemory(ctx context.Context, t *turn) error {
	_, small, err := t.cat(ctx, "quarter")
	if err != nil {
		return err
	}
	t.against("peak memory", small)
	_, large, err := t.cat(ctx, "large")
	if err != nil {
		return err
	}
	t.note("peak memory", large)
	return nil
}

// found is what listing a tree took.
type found struct {
	seconds, cpu float64
	tallied
}

// find lists a whole tree.
func (t *turn) find(ctx context.Context, tree string, flags ...string) (f found, err error) {
	d, err := t.mount(ctx, tree, flags...)
	if err != nil {
		return f, err
	}
	var out string
	if f.seconds, out, err = t.shell(ctx, d.mnt, "find . | wc -l"); err != nil {
		return f, err
	}
	if want := len(t.trees[tree].dirs) + len(t.trees[tree].files); out != strconv.Itoa(want) {
		return f, fmt.Errorf("find saw %s names of %d", out, want)
	}
	if f.cpu, err = d.cpu(); err != nil {
		return f, err
	}
	f.tallied, err = t.tally(ctx, tree, t.trip)
	return f, err
}

func coldFind(ctx context.Context, t *turn) error {
	tree := t.trees["wide"]
	if err := t.floor(ctx, "wide", tree.treePaths()); err != nil {
		return err
	}
	got, err := t.find(ctx, "wide")
	if err != nil {
		return err
	}
	t.note("time", got.seconds)
	t.note(cpuTime, got.cpu)
	t.note("requests a directory", float64(got.listings())/float64(len(tree.dirs)))
	t.note("requests at once", float64(got.AtOnce))
	t.note("blob requests", float64(got.Routes[blobRoute]))
	return nil
}

func coldMoved(ctx context.Context, t *turn) error {
	head, err := t.find(ctx, "tar")
	if err != nil {
		return err
	}
	t.against("time", head.seconds)
	tree := t.trees["moved"]
	got, err := t.find(ctx, "moved", "--rev", tree.old)
	if err != nil {
		return err
	}
	t.note("time", got.seconds)
	t.note("requests a directory", float64(got.listings())/float64(len(tree.dirs)))
	return nil
}

func coldFirst(ctx context.Context, t *turn) error {
	ready, first, err := t.firstByte(ctx, "small", "README")
	if err != nil {
		return err
	}
	got, err := t.tally(ctx, "small", t.trip)
	if err != nil {
		return err
	}
	t.note("ready", ready*1000)
	t.note("first byte", first*1000)
	t.note("requests", float64(got.Requests))
	return nil
}
