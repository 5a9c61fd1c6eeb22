package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// runner carries a whole run out.
type runner struct {
	options
	scratch  string
	binary   string // ours; "" when it is not taking part
	manifest string // file
	prime    string // directory
	report   *report
}

// run compares the contenders on each ground and writes the report. Failures of single contenders are in the report, and
// make the run fail in the end.
func run(ctx context.Context, o options, scratch string) error {
	defer os.RemoveAll(scratch) // the outer process does so too; it may have been killed
	r := &runner{options: o, scratch: scratch, report: newReport(ctx, &o)}
	c, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	for _, name := range o.grounds {
		if err := r.onGround(ctx, name, c); err != nil {
			return fmt.Errorf("on %s: %w", name, err)
		}
	}
	if err := r.report.write(o.out, os.Stdout); err != nil {
		return err
	}
	if n := r.report.failures(); n > 0 {
		return fmt.Errorf("%d failures, listed in the report", n)
	}
	return nil
}

// prepare makes what all grounds share.
func (r *runner) prepare(ctx context.Context) (*corpus, error) {
	progress("corpus: %s", r.corpus)
	c, err := makeCorpus(ctx, &r.options, r.scratch)
	if err != nil {
		return nil, err
	}
	m, err := readManifest(c.repo)
	if err != nil {
		return nil, err
	}
	if err := m.check(r.scale(), r.rounds); err != nil {
		return nil, err
	}
	r.report.Corpus.Files, r.report.Corpus.Dirs = len(m.Files), len(m.Dirs)
	r.manifest = filepath.Join(r.scratch, "manifest.json")
	if err := m.save(r.manifest); err != nil {
		return nil, err
	}
	if slices.Contains(r.workloads, "go-build") {
		progress("build cache: compiling the standard library")
		r.prime = filepath.Join(r.scratch, "prime")
		if err := primeBuild(ctx, filepath.Join(c.repo, ownDir, "program"), r.prime); err != nil {
			return nil, err
		}
	}
	return c, r.build(ctx)
}

// build compiles the program under test from the checkout that the harness runs in.
func (r *runner) build(ctx context.Context) error {
	if !slices.Contains(r.contenders, "antares") {
		return nil
	}
	root, err := checkoutDir(ctx)
	if err != nil {
		return err
	}
	r.binary = filepath.Join(r.scratch, "antares-actor")
	if _, err := command(ctx, root, nil, "go", "build", "-o", r.binary, "./cmd/antares-actor"); err != nil {
		return fmt.Errorf("build the contender antares (leave it out with -contenders): %w", err)
	}
	return nil
}

// onGround makes one ground, starts the contenders there, runs all rounds, and takes everything down again.
func (r *runner) onGround(ctx context.Context, name string, c *corpus) (err error) {
	var u undo
	defer func() { err = errors.Join(err, u.run()) }()
	progress("ground: %s", name)
	g, err := makeGround(ctx, name, r.size, r.scratch, c, &u)
	if err != nil {
		return err
	}
	cmp := r.report.compare(name, r.workloads)
	stands, err := r.start(ctx, g, cmp, &u)
	if err != nil {
		return err
	}
	for round := range r.rounds {
		for _, w := range r.workloads {
			progress("%s: round %d of %d: %s", name, round+1, r.rounds, w)
			if err := r.turn(ctx, g, cmp, stands, w, round); err != nil {
				return err
			}
		}
	}
	for _, s := range stands {
		if s.peak != nil {
			cmp.entrant(s.name).PeakBytes = s.peak()
		}
	}
	return nil
}

// entry is a contender that has started.
type entry struct {
	contender
	*stand
	outside string // a directory on the ground for its workloads
}

// start starts all contenders. One that does not start is in the report; the others go on.
func (r *runner) start(ctx context.Context, g *ground, cmp *comparison, u *undo) ([]entry, error) {
	var out []entry
	for _, c := range r.chosen() {
		s := &site{ground: g, own: filepath.Join(g.dir, c.name), binary: r.binary, log: os.Stderr}
		if err := s.prepare(); err != nil {
			return nil, err
		}
		e := cmp.enter(c)
		st, err := c.start(ctx, s)
		switch {
		case errors.Is(err, errLeftOut):
			progress("%s: %v", c.name, err)
			e.LeftOut = err.Error()
			continue
		case ctx.Err() != nil:
			return nil, errors.Join(err, context.Cause(ctx))
		case err != nil:
			cmp.fail(c.name, "start", err)
			continue
		}
		u.add(st.stop)
		e.ReadyMillis = float64(st.ready.Microseconds()) / 1000
		out = append(out, entry{c, st, s.own})
	}
	return out, nil
}

// turn runs one workload on each contender. The first one's check is the truth.
func (r *runner) turn(ctx context.Context, g *ground, cmp *comparison, stands []entry, workload string, round int) error {
	var truth *outcome
	for _, s := range stands {
		if s.takesPart != nil && !s.takesPart(workload) {
			continue
		}
		if err := settleDisk(g.dir); err != nil {
			return err
		}
		t := task{Workload: workload, Root: s.root, Outside: s.outside, Manifest: r.manifest, Prime: r.prime, Round: round, Scale: r.scale()}
		got, err := t.runChild(ctx, r.timeout)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && truth != nil && got.Check != truth.Check {
			err = fmt.Errorf("did other work: %q; the first did %q", got.Check, truth.Check)
		}
		if err != nil {
			cmp.fail(s.name, fmt.Sprintf("%s, round %d", workload, round+1), err)
			continue
		}
		if truth == nil {
			truth = &got
		}
		cmp.sample(workload, s.name, float64(got.Nanos)/1000/float64(got.Ops))
	}
	return nil
}

// settleDisk writes back what the one before has left dirty, so that the next one does not pay for it.
func settleDisk(dir string) error {
	fd, err := openRoot(dir)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	return unix.Syncfs(fd)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
