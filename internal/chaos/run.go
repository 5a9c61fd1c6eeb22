package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

// run is one run.
type run struct {
	s        *stage
	k        *killer
	programs []*program
	early    *prints // after the first restarts
	late     *prints
	calm     phase
	wild     phase
}

// phase is how far the programs came in a time.
type phase struct {
	took time.Duration
	ops  map[string]int64 // by program
}

// chaos does all of it.
func chaos(ctx context.Context, o *options, out io.Writer) (err error) {
	s, err := newStage(ctx, o)
	if err != nil {
		return err
	}
	r := &run{s: s, k: newKiller(s)}
	defer func() { err = errors.Join(err, s.close()) }()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err = r.work(ctx, stop)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause // what went wrong first
		}
		if errors.Is(err, errHang) {
			r.diagnose(out)
		}
		r.end(out)
		return err
	}
	if err := r.afterwards(ctx); err != nil {
		return err
	}
	r.print(out)
	return nil
}

// work starts the programs, kills for as long as it is to be, and returns when all have ended well.
func (r *run) work(ctx context.Context, stop context.CancelCauseFunc) error {
	if err := r.start(); err != nil {
		return err
	}
	go r.watch(ctx, stop)
	if err := r.until(ctx, func(w worker.Report) bool { return w.Ready }); err != nil {
		return err
	}
	var err error
	if r.calm, err = r.timed(func() error { return pause(ctx, r.s.o.calm) }); err != nil {
		return err
	}
	if r.s.o.kills > 0 {
		if r.wild, err = r.timed(func() error { return r.killAll(ctx) }); err != nil {
			return err
		}
	}
	for _, p := range r.programs {
		p.finish()
	}
	for _, p := range r.programs {
		select {
		case <-p.ended:
			if p.err != nil {
				return p.err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// start starts the programs. After an error those that run are in r.programs.
func (r *run) start() error {
	jobs := make(map[string]worker.Job)
	for i := range writers {
		jobs[fmt.Sprint("writer ", i)] = worker.Job{Role: "writer", Args: []string{fmt.Sprint(i), fmt.Sprint(r.s.o.trees)}}
	}
	for i := range 2 {
		jobs[fmt.Sprint("database ", i)] = worker.Job{Role: "database", Args: []string{fmt.Sprint(i)}}
	}
	for _, role := range []string{"go build", "cmake", "holder"} {
		jobs[role] = worker.Job{Role: role}
	}
	if r.s.o.cache != "" {
		jobs["go build"] = worker.Job{Role: "go build", Args: []string{r.s.o.cache}}
	}
	if r.s.o.fsx != "" {
		jobs["fsx"] = worker.Job{Role: "fsx", Args: []string{r.s.o.fsx}}
	}
	for name, job := range jobs {
		if !strings.HasPrefix(name, r.s.o.only) {
			continue
		}
		p, err := r.s.start(name, job)
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		r.programs = append(r.programs, p)
	}
	return nil
}

// until waits until all programs report something.
func (r *run) until(ctx context.Context, so func(worker.Report) bool) error {
	for _, p := range r.programs {
		if err := p.until(ctx, so); err != nil {
			return err
		}
	}
	return nil
}

// timed measures how far the programs come meanwhile.
func (r *run) timed(do func() error) (phase, error) {
	begun, before := time.Now(), r.ops()
	err := do()
	p := phase{took: time.Since(begun), ops: r.ops()}
	for name := range p.ops {
		p.ops[name] -= before[name]
	}
	return p, err
}

func (r *run) ops() map[string]int64 {
	ops := make(map[string]int64)
	for _, p := range r.programs {
		ops[p.name] = p.report().Ops
	}
	return ops
}

// killAll kills as often as asked, and longer if a program has not got anywhere meanwhile: it would not have been tested.
func (r *run) killAll(ctx context.Context) error {
	before := r.ops()
	idle := func() bool {
		for name, n := range r.ops() {
			if n == before[name] {
				return true
			}
		}
		return false
	}
	for r.k.kills < r.s.o.kills || idle() && r.s.o.mode != modeBoth {
		if err := r.k.strike(ctx); err != nil {
			return err
		}
		if r.s.o.mode == modeBoth {
			if err := r.mountAgain(ctx); err != nil {
				return err
			}
		}
		if err := r.weigh(ctx); err != nil {
			return err
		}
	}
	return nil
}

// mountAgain mounts after the mount has gone, when every program has noticed.
func (r *run) mountAgain(ctx context.Context) error {
	if err := r.until(ctx, func(w worker.Report) bool { return w.Cuts == r.k.kills }); err != nil {
		return err
	}
	if err := r.s.mount(ctx); err != nil {
		return err
	}
	for _, p := range r.programs {
		if err := p.goOn(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return r.goOn(ctx)
}

// goOn waits until the writers and the databases have compared what they find with what they were promised, and work again. A
// build takes too long to wait for it.
func (r *run) goOn(ctx context.Context) error {
	before := r.ops()
	for _, p := range r.programs {
		if p.slow {
			continue
		}
		if err := p.until(ctx, func(w worker.Report) bool { return w.Ops > before[p.name] }); err != nil {
			return err
		}
	}
	return nil
}

// weigh takes the footprints after some restarts, early ones and the last ones. Each is the least of three, since a process
// has more descriptors for a moment now and then.
func (r *run) weigh(ctx context.Context) error {
	early := r.k.kills >= settled && r.k.kills < settled+3
	if !early && r.k.kills < r.s.o.kills-2 {
		return nil
	}
	v, err := r.k.wait(ctx, func(victims) bool { return false })
	if err != nil {
		return err
	}
	now, err := r.s.measure(v)
	if err != nil {
		return err
	}
	if early {
		r.early = least(r.early, now)
	} else {
		r.late = least(r.late, now)
	}
	return nil
}

func least(before *prints, now prints) *prints {
	if before == nil {
		return &now
	}
	if before.keeper.fixed() < now.keeper.fixed() {
		now.keeper = before.keeper
	}
	if before.engine.fixed() < now.engine.fixed() {
		now.engine = before.engine
	}
	return &now
}

// afterwards compares the tree with the one after a remount, and looks at upper and at what the processes have.
func (r *run) afterwards(ctx context.Context) error {
	if !r.s.mounted {
		return nil
	}
	before, err := takeTree(r.s.point)
	if err != nil {
		return err
	}
	if err := errors.Join(r.s.unmount(ctx), r.s.fsck(ctx)); err != nil {
		return err
	}
	if err := r.s.mount(ctx); err != nil {
		return err
	}
	after, err := takeTree(r.s.point)
	if err != nil {
		return err
	}
	if err := sameTree(before, after); err != nil {
		return fmt.Errorf("after a remount: %w", err)
	}
	if err := errors.Join(r.s.unmount(ctx), r.s.fsck(ctx)); err != nil {
		return err
	}
	if r.early != nil && r.late != nil {
		return r.late.grown(*r.early)
	}
	return nil
}

// end shows the log of a run that failed, and ends its programs.
func (r *run) end(out io.Writer) {
	if said, err := os.ReadFile(r.s.log); err == nil {
		fmt.Fprintf(out, "log of the mount:\n%s\n", tail(string(said)))
	}
	for _, p := range r.programs {
		p.kill()
	}
	for _, p := range r.programs {
		select {
		case <-p.ended:
		case <-time.After(10 * time.Second): // it waits for the mount
			r.s.abort()
		}
	}
}
