package actors

import (
	"context"
	"errors"
	"log/slog"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// fetchKey names what is being fetched: one object of one origin, whichever mounts want it.
type fetchKey struct {
	origin remote.Origin
	id     object.ID
	want   want
	path   string // of wantPath
	only   *fetch // of wantSizes by the batch, which is not shared: a region asks for a file's size once
}

// loader owns the fetches: one an object, however many wait for it, and which of them are under way. There is one an engine,
// so that its limits hold for all mounts together; a fetch costs it three messages, of less than a microsecond each.
type loader struct {
	ctx     context.Context // ends the fetches when the engine stops
	self    *handle
	run     func(func()) // starts a worker
	flights map[fetchKey]*flight
	leaving map[*source]*quit
	sizes   map[object.ID]int64 // of large blobs whose content was left where it is, so that no mount asks again
	*traffic
}

// sizesKept bounds how many sizes are remembered: 3 MiB. What goes is any: all of them cost one request.
const sizesKept = 1 << 16

func newLoader(ctx context.Context, self *handle, run func(func()), t *traffic) *loader {
	t.forgetQueued()
	return &loader{
		ctx: ctx, self: self, run: run, traffic: t,
		flights: make(map[fetchKey]*flight), leaving: make(map[*source]*quit), sizes: make(map[object.ID]int64),
	}
}

func (l *loader) receive(msg any) {
	switch m := msg.(type) {
	case *fetchBlob:
		l.enqueue(m)
	case *fetch:
		l.enqueue(m)
	case *sizeLearnt:
		l.sizeLearnt(m)
	case *fetched:
		l.fetched(m)
	case *abandon:
		l.abandon(m.Waiters...)
	case *gone:
		if w, ok := m.Msg.(waiter); ok {
			l.abandon(w)
		}
	case *quit:
		l.quit(m)
	}
}

func (l *loader) failed(msg any) {
	switch m := msg.(type) {
	case *fetch:
		m.answer(outcome{Err: ErrPanic})
	case *fetched: // its waiters are still parked, and will fetch again
		l.release(m.Flight)
	}
}

func (l *loader) parked() []any {
	var all []any
	for _, f := range l.flights {
		for _, w := range f.waiters {
			all = append(all, w)
		}
	}
	for _, m := range l.leaving {
		all = append(all, m)
	}
	return all
}

// enqueue joins a fetch in flight, or has a new one stand in line. One that stands in line, or is under way, for nobody yet is
// demand from the moment that somebody waits for it.
func (l *loader) enqueue(w waiter) {
	if w.from().left {
		w.answer(outcome{Err: ErrStopped})
		return
	}
	key := w.key()
	if size, ok := l.sizes[key.id]; ok && !w.whole() && !wantsSeveral(w) {
		w.answer(outcome{Sizes: []int64{size}, Unread: true})
		return
	}
	f := l.flights[key]
	if f == nil {
		f = &flight{key: key, source: w.from(), first: w, content: make(chan struct{})}
		l.flights[key] = f
		f.join(w)
		l.line(f)
	} else {
		f.join(w)
		if f.demand && !f.urgent {
			l.promote(f)
		}
		l.answerSizes(f)
	}
	l.dispatch()
}

// wantsSeveral tells whether w asks for the sizes of several blobs, of which one alone is no answer.
func wantsSeveral(w waiter) bool {
	q, ok := w.(*fetch)
	return ok && len(q.IDs) > 1
}

// dispatch starts what may start.
func (l *loader) dispatch() {
	for f := l.next(); f != nil; f = l.next() {
		l.start(f)
	}
}

func (l *loader) sizeLearnt(m *sizeLearnt) {
	f := m.Flight
	if l.flights[f.key] == f {
		f.sized, f.size = true, m.Size
		l.answerSizes(f)
	}
}

// answerSizes answers those who wait for a blob's size only, once it is known.
func (l *loader) answerSizes(f *flight) {
	if !f.sized {
		return
	}
	rest := f.waiters[:0:0]
	for _, w := range f.waiters {
		if q, ok := w.(*fetch); ok && q.Want == wantSizes && !q.Ahead {
			q.answer(outcome{Sizes: []int64{f.size}})
			continue
		}
		rest = append(rest, w)
	}
	f.waiters = rest
}

// fetched answers those who wait, and gives the worker's place to the next in line. A fact of a fetch that an earlier
// incarnation started, or that nobody wants any more, finds nobody.
func (l *loader) fetched(m *fetched) {
	f := m.Flight
	l.limit.done(m.Took, m.Outcome, l.running)
	l.release(f)
	if m.Outcome.partial() {
		l.remember(f.key.id, m.Outcome.Sizes[0])
	}
	if l.flights[f.key] == f {
		delete(l.flights, f.key)
		if err := m.Outcome.Err; err != nil && f.demand && !f.began {
			f.source.log.Warn("origin cannot be read", slog.String("id", f.key.id.String()), slog.Any("error", err))
		}
		for _, w := range f.waiters {
			if m.Outcome.partial() && w.whole() {
				l.enqueue(w) // it came when the body was being let go
				continue
			}
			w.answer(m.Outcome)
		}
	}
	l.dispatch()
	for _, q := range l.leaving {
		l.endQuit(q)
	}
}

func (l *loader) remember(id object.ID, size int64) {
	for other := range l.sizes {
		if len(l.sizes) < sizesKept {
			break
		}
		delete(l.sizes, other)
	}
	l.sizes[id] = size
}

// abandon takes waiters away, whose callers have gone. A fetch that nobody wants any more is cancelled, and what stands in line
// starts in its place when all are away: it may have been theirs.
func (l *loader) abandon(gone ...waiter) {
	for _, g := range gone {
		if f := l.flights[g.key()]; f != nil {
			l.leave(f, func(w waiter) bool { return w.same(g) })
		}
	}
	l.dispatch()
}

func (l *loader) leave(f *flight, goes func(waiter) bool) {
	rest := f.waiters[:0:0]
	for _, w := range f.waiters {
		if !goes(w) {
			rest = append(rest, w)
		}
	}
	if len(rest) == len(f.waiters) {
		return
	}
	if f.waiters = rest; len(rest) == 0 {
		l.end(f)
	}
}

// end cancels a fetch.
func (l *loader) end(f *flight) {
	delete(l.flights, f.key)
	f.over = true
	if f.cancel != nil {
		f.cancel()
	}
}

// quit ends what a mount has asked for, since it ends itself. It is answered when nothing of it is under way. What other mounts
// wait for as well is theirs from now on.
func (l *loader) quit(m *quit) {
	m.Source.left = true
	l.empty(m.Source)
	for _, f := range l.flights {
		l.leave(f, func(w waiter) bool {
			goes := w.from() == m.Source
			if goes {
				w.answer(outcome{Err: ErrStopped})
			}
			return goes
		})
		switch {
		case f.source != m.Source || f.over:
		case len(f.waiters) == 0: // it lingers
			l.end(f)
		default:
			l.hand(f, f.waiters[0].from())
		}
	}
	l.leaving[m.Source] = m
	l.endQuit(m)
}

func (l *loader) endQuit(m *quit) {
	if l.quiet(m.Source) {
		delete(l.leaving, m.Source)
		m.finish(nil)
	}
}

// endFetches ends all that the mount has asked for, and returns when nothing of it is under way: the origin may be closed then.
func (c *core) endFetches() {
	for range maxReloads { // it may panic, and must not leave anything under way
		m := &quit{Source: c.source}
		m.open()
		c.loader.Tell(m)
		if err := m.wait(Caller{}); !errors.Is(err, ErrPanic) { // an engine that has ended has no fetches
			return
		}
	}
}
