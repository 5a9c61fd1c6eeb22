package actors

import (
	"context"

	"github.com/antares-actor/antares-actor/internal/object"
)

// Loaders are a pool, each with a share of the object ids and of the fetches that may run at once.
const (
	loaders        = 4
	fetchesALoader = 16
)

// fetchKey names what is being fetched: one object of one origin, its content or its size only.
type fetchKey struct {
	source *source
	id     object.ID
	want   want
	path   string // of wantPath
	only   *fetch // of wantSizes, which is not shared: a region asks for a file's size once
}

// loader owns a share of the fetches in flight: one an object, however many wait.
type loader struct {
	ctx     context.Context // ends the fetches when the engine stops
	self    *handle
	waiting map[fetchKey][]any // fetchBlob and fetch messages, answered by one fetch
	backlog []fetchKey         // waiting for a worker, in the order of arrival
	working int
}

func newLoader(ctx context.Context, self *handle) *loader {
	return &loader{ctx: ctx, self: self, waiting: make(map[fetchKey][]any)}
}

func (l *loader) receive(msg any) {
	switch m := msg.(type) {
	case *fetchBlob:
		l.enqueue(fetchKey{source: m.Source, id: m.ID, want: wantBlob}, m)
	case *fetch:
		key := fetchKey{source: m.Source, id: m.ID, want: m.Want}
		switch m.Want {
		case wantPath:
			key.path = m.Ref.Path
		case wantSizes:
			key.only = m
		}
		l.enqueue(key, m)
	case *fetched:
		l.fetched(m)
	}
}

func (l *loader) failed(msg any) {
	switch m := msg.(type) {
	case *fetch:
		m.Done(outcome{Err: ErrPanic})
	case *fetched: // its waiters are still parked, and will fetch again
	}
}

func (l *loader) parked() []any {
	var all []any
	for _, msgs := range l.waiting {
		all = append(all, msgs...)
	}
	return all
}

// enqueue joins a fetch in flight or starts one.
func (l *loader) enqueue(key fetchKey, msg any) {
	inFlight := len(l.waiting[key]) > 0
	l.waiting[key] = append(l.waiting[key], msg)
	if inFlight {
		return
	}
	if l.working >= fetchesALoader {
		l.backlog = append(l.backlog, key)
		return
	}
	l.start(key, msg)
}

// start runs a fetch in a worker, which sends one fact back.
func (l *loader) start(key fetchKey, msg any) {
	l.working++
	ctx, self := l.ctx, l.self
	go func() {
		o := outcome{Err: ErrPanic}
		defer func() {
			if r := recover(); r != nil {
				key.source.log.Error("fetch panicked", "reason", r, "id", key.id.String())
			}
			self.Tell(&fetched{Key: key, Outcome: o})
		}()
		switch key.want {
		case wantTree:
			o.Payload, o.Err = key.source.tree(ctx, msg.(*fetch).Ref)
		case wantPath:
			m := msg.(*fetch)
			o.Payload, o.Err = key.source.treeAt(ctx, m.Ref, m.Base)
		case wantSizes:
			o.Sizes, o.Err = key.source.sizes(ctx, msg.(*fetch).IDs)
		default:
			o.Err = key.source.blob(ctx, key.id)
		}
	}()
}

// fetched answers those who wait, and gives the worker's place to the next in line. A fact of a fetch that an earlier
// incarnation started finds waiters or none; both are right.
func (l *loader) fetched(m *fetched) {
	l.working = max(l.working-1, 0)
	waiting := l.waiting[m.Key]
	delete(l.waiting, m.Key)
	for len(l.backlog) > 0 && l.working < fetchesALoader {
		next := l.backlog[0]
		l.backlog = l.backlog[1:]
		if msgs := l.waiting[next]; len(msgs) > 0 {
			l.start(next, msgs[0])
		}
	}
	for _, msg := range waiting {
		switch w := msg.(type) {
		case *fetchBlob:
			w.finish(m.Outcome.Err)
		case *fetch:
			w.Done(m.Outcome)
		}
	}
}
