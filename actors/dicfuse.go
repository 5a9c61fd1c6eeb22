package actors

import (
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/remote"
)

// dicfuse is the actor of the lower layer: it owns what the mount is pinned to, turns what regions miss into fetches at that
// commit, and moves the mount to another one (switch.go).
type dicfuse struct {
	core *core
	self *handle
}

// pins is what a mount is pinned to. The incarnations of its dicfuse actor share it, and only they write.
type pins struct {
	first    object.ID // the commit of nodes without a Pin; immutable
	shown    atomic.Pointer[pinned]
	switched atomic.Bool // never set back: nodes of several commits may be known to the kernel

	queue   []*switchTo // those that wait, in the order of arrival
	running *switching  // nil if the mount is not being switched
	// Directories whose lower half is found by a redirect: no walk down from the root comes to them.
	redirected map[*tree.Node]struct{}
}

func newPins(at pinned) *pins {
	p := &pins{first: at.commit.ID, redirected: make(map[*tree.Node]struct{})}
	p.shown.Store(&at)
	p.switched.Store(at.switched)
	return p
}

// commit returns the commit that a state's Pin names.
func (p *pins) commit(pin *tree.Pin) object.ID {
	if pin == nil {
		return p.first
	}
	return pin.Commit
}

func (d *dicfuse) receive(msg any) {
	switch m := msg.(type) {
	case *readTree:
		d.core.loader.Tell(d.reading(m))
	case *readSizes:
		d.core.loader.Tell(d.sizing(m))
	case *readAhead:
		ref := remote.TreeRef{Commit: d.core.pins.commit(m.Pin), Path: m.Path, ID: m.ID}
		d.core.loader.Tell(&fetch{Source: d.core.source, Want: wantTree, ID: m.ID, Ref: ref, Ahead: true, Done: m.Done})
	case *stopReading:
		d.core.loader.Tell(&abandon{Waiters: []waiter{d.reading((*readTree)(m))}})
	case *stopSizing:
		d.core.loader.Tell(&abandon{Waiters: []waiter{d.sizing((*readSizes)(m))}})
	case *redirected:
		d.redirected(m.Node)
	case *switchTo:
		d.core.pins.queue = append(d.core.pins.queue, m)
		d.next()
	case *prepared:
		d.prepared(m)
	case *settled:
		d.settled(m)
	case *proceed:
		d.next()
	}
}

// readFor says what a directory's tree is read for.
type readFor struct {
	dir    *tree.Node
	laying *retree
}

func (d *dicfuse) reading(m *readTree) *fetch {
	want, ref := wantTree, remote.TreeRef{Commit: d.core.pins.commit(m.Pin), Path: d.core.dicfuse.Path(m.Path), ID: m.ID}
	if m.ID.IsZero() { // below the root that is shown now
		shown := d.core.pins.shown.Load()
		want, ref.ID, ref.Commit, ref.Path = wantPath, shown.tree, shown.commit.ID, m.Path
	}
	return &fetch{
		Source: d.core.source, Want: want, ID: ref.ID, Ref: ref, Base: d.core.dicfuse.Path(""), For: readFor{m.Dir, m.For},
		Done: func(o outcome) { m.To.Tell(&treeFetched{Dir: m.Dir, Payload: o.Payload, For: m.For, Err: o.Err}) },
	}
}

func (d *dicfuse) sizing(m *readSizes) *fetch {
	return &fetch{
		Source: d.core.source, Want: wantSizes, ID: m.IDs[0], IDs: m.IDs, For: m.Nodes[0],
		Done: func(o outcome) { m.To.Tell(&sized{Nodes: m.Nodes, Sizes: o.Sizes, Err: o.Err}) },
	}
}

func (d *dicfuse) failed(msg any) {
	switch m := msg.(type) {
	case *readTree:
		m.To.Tell(&treeFetched{Dir: m.Dir, For: m.For, Err: ErrPanic})
	case *readSizes:
		m.To.Tell(&sized{Nodes: m.Nodes, Err: ErrPanic})
	case *redirected: // it can be done twice
		d.redirected(m.Node)
	case *switchTo:
		d.drop(m)
	case *prepared:
		if d.core.pins.running != m.plan { // else it goes on: the regions have it
			d.drop(m.cmd)
		}
	case *settled:
		d.core.pins.running = nil
		m.run.cmd.finish(nil)
	}
}

func (d *dicfuse) parked() []any { return []any{&proceed{}} } // what waits is in pins

// drop ends a switch whose handling panicked. What it has begun goes on.
func (d *dicfuse) drop(cmd *switchTo) {
	d.core.log.Error("switching panicked", slog.String("to", cmd.to.String()))
	p := d.core.pins
	if p.running != nil && p.running.cmd == cmd {
		p.running = nil
	}
	p.queue = slices.DeleteFunc(p.queue, func(q *switchTo) bool { return q == cmd })
	cmd.finish(ErrPanic)
}
