package actors

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// waiter is a message that a fetch answers.
type waiter interface {
	key() fetchKey
	from() *source
	ahead() bool // nobody waits for it: it is a prefetch
	whole() bool // it needs a blob's content, however large
	same(other waiter) bool
	answer(outcome)
}

var (
	_ waiter = (*fetchBlob)(nil)
	_ waiter = (*fetch)(nil)
)

func (m *fetchBlob) key() fetchKey          { return fetchKey{origin: m.Source.origin, id: m.ID} }
func (m *fetchBlob) from() *source          { return m.Source }
func (m *fetchBlob) ahead() bool            { return false }
func (m *fetchBlob) whole() bool            { return true }
func (m *fetchBlob) same(other waiter) bool { return m == other }
func (m *fetchBlob) answer(o outcome)       { m.finish(o.Err) }

// hasPart tells of a reader whether it needed a part only, and has it.
func hasPart(w waiter) bool {
	m, ok := w.(*fetchBlob)
	return ok && closed(m.early)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (m *fetch) key() fetchKey {
	k := fetchKey{origin: m.Source.origin, id: m.ID, want: m.Want}
	switch {
	case m.Want == wantPath:
		k.path = m.Ref.Path
	case m.Want == wantSizes && (len(m.IDs) > 1 || m.Source.sizer()):
		k.only = m
	case m.Want == wantSizes, m.Want == wantSmall: // the answer to a request for the blob says its size
		k.want = wantBlob
	}
	return k
}

func (m *fetch) from() *source { return m.Source }
func (m *fetch) ahead() bool   { return m.Ahead }
func (m *fetch) whole() bool   { return m.Want != wantSmall && m.Want != wantSizes }

// answer counts once: a fetch that is answered because of a panic may wait still, and then comes again.
func (m *fetch) answer(o outcome) {
	if !m.over {
		m.over = true
		m.Done(o)
	}
}

func (m *fetch) same(other waiter) bool {
	o, ok := other.(*fetch)
	return ok && (m == o || m.For != nil && m.For == o.For && m.Source == o.Source)
}

// flight is one fetch, in line or under way, and those who wait for it.
type flight struct {
	key     fetchKey
	source  *source // of the mount that it counts for
	first   waiter  // says what to ask for; immutable
	waiters []waiter
	demand  bool // somebody waits for it
	urgent  bool // it counts as demand
	began   bool // it was demand when it was started
	over    bool // nobody wants it any more
	placed  bool // it has one of the places
	cancel  context.CancelFunc
	content chan struct{} // closed when somebody wants the blob's content, however large; the worker looks when it knows the size
	sized   bool          // the size of the blob is known
	size    int64
}

// join adds one who waits. Of a mount's readers that have the part that they waited for one stays: the fetch is not cancelled
// between two reads.
func (f *flight) join(w waiter) {
	stays := false
	f.waiters = slices.DeleteFunc(f.waiters, func(other waiter) bool {
		if other.from() != w.from() || !hasPart(other) {
			return false
		}
		goes := stays
		stays = true
		return goes
	})
	f.waiters = append(f.waiters, w)
	f.demand = f.demand || !w.ahead()
	if w.whole() && !closed(f.content) {
		close(f.content)
	}
}

// wanted tells whether somebody wants the content of the blob, and waits for that for a while.
func (f *flight) wanted(ctx context.Context, wait time.Duration) bool {
	if f.began && wait > 0 { // else nobody asked for its size
		select {
		case <-f.content:
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return closed(f.content)
}

// start runs a fetch in a worker, which sends one fact back, and another one before if it learns the size of a large blob.
func (l *loader) start(f *flight) {
	ctx, cancel := context.WithCancel(l.ctx)
	f.cancel, f.began = cancel, f.urgent
	self, counts := l.self, &f.source.counts
	learnt := func(size int64) { self.Tell(&sizeLearnt{Flight: f, Size: size}) }
	l.run(func() {
		start := time.Now()
		o := outcome{Err: ErrPanic}
		defer func() {
			if r := recover(); r != nil {
				f.first.from().log.Error("fetch panicked", slog.Any("reason", r), slog.String("id", f.key.id.String()))
			}
			cancel()
			counts.add(f, o)
			self.Tell(&fetched{Flight: f, Outcome: o, Took: time.Since(start)})
		}()
		o = f.run(ctx, learnt)
	})
}

// run asks the origin.
func (f *flight) run(ctx context.Context, learnt func(int64)) (o outcome) {
	s := f.first.from()
	if !f.began {
		s = s.quiet() // nobody waits for it
	}
	m, _ := f.first.(*fetch)
	switch f.key.want {
	case wantTree:
		o.Payload, o.Asked, o.Err = s.askTree(ctx, m.Ref)
	case wantPath:
		o.Payload, o.Asked, o.Err = s.treeAt(ctx, m.Ref, m.Base)
	case wantSizes:
		o.Asked = true
		o.Sizes, o.Err = s.sizes(ctx, m.IDs)
	default:
		return s.askBlob(ctx, f.key.id, f.wanted, learnt)
	}
	o.Bytes = int64(len(o.Payload))
	return o
}

// partial tells whether a blob was found to be large and its content was left where it is.
func (o outcome) partial() bool { return o.Err == nil && o.Unread }

// Fetches counts what was asked of an origin for a mount by its loader.
type Fetches struct {
	Blobs uint64 // sizes that were asked for alone included; a batch of sizes is one
	Trees uint64
	Bytes uint64 // of contents and trees
}

// fetchCounts are a mount's; all atomic.
type fetchCounts struct {
	demand, ahead struct{ blobs, trees, bytes atomic.Uint64 }
	joined, hits  atomic.Uint64
}

func (c *fetchCounts) add(f *flight, o outcome) {
	if !o.Asked {
		return
	}
	n := &c.ahead
	if f.began {
		n = &c.demand
	}
	if f.key.want == wantTree || f.key.want == wantPath {
		n.trees.Add(1)
	} else {
		n.blobs.Add(1)
	}
	n.bytes.Add(uint64(o.Bytes))
}

// stats fills in what a mount's numbers have of it.
func (c *fetchCounts) stats(s *Stats) {
	s.Demand = Fetches{Blobs: c.demand.blobs.Load(), Trees: c.demand.trees.Load(), Bytes: c.demand.bytes.Load()}
	s.Prefetch = Fetches{Blobs: c.ahead.blobs.Load(), Trees: c.ahead.trees.Load(), Bytes: c.ahead.bytes.Load()}
	s.Joined, s.Hits = c.joined.Load(), c.hits.Load()
}
