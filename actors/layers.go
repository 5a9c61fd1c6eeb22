package actors

import (
	"log/slog"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// dicfuse is the actor of the lower layer: it owns the pin, and turns what regions miss into fetches at that commit.
type dicfuse struct {
	core   *core
	commit object.ID
}

func (d *dicfuse) receive(msg any) {
	switch m := msg.(type) {
	case *readTree:
		want, ref := wantTree, remote.TreeRef{Commit: d.commit, Path: d.core.dicfuse.Path(m.Path), ID: m.ID}
		if m.ID.IsZero() {
			want, ref.ID = wantPath, d.core.root.State().Object
			ref.Path = m.Path
		}
		d.core.loader(m.ID).Tell(&fetch{
			Source: d.core.source, Want: want, ID: m.ID, Ref: ref, Base: d.core.dicfuse.Path(""),
			Done: func(o outcome) { m.To.Tell(&treeFetched{Dir: m.Dir, Payload: o.Payload, Err: o.Err}) },
		})
	case *readSizes:
		d.core.loader(m.IDs[0]).Tell(&fetch{
			Source: d.core.source, Want: wantSizes, ID: m.IDs[0], IDs: m.IDs,
			Done: func(o outcome) { m.To.Tell(&sized{Nodes: m.Nodes, Sizes: o.Sizes, Err: o.Err}) },
		})
	}
}

func (d *dicfuse) failed(msg any) {
	switch m := msg.(type) {
	case *readTree:
		m.To.Tell(&treeFetched{Dir: m.Dir, Err: ErrPanic})
	case *readSizes:
		m.To.Tell(&sized{Nodes: m.Nodes, Err: ErrPanic})
	}
}

func (d *dicfuse) parked() []any { return nil }

// upperLayer is the actor of the upper layer: it owns the work directory's orphans.
type upperLayer struct{ core *core }

func (u *upperLayer) receive(msg any) {
	if m, ok := msg.(*reap); ok {
		if n := u.core.index.Find(m.Ino); n != nil {
			n.Owner.Tell(m) // known again, by another name, and perhaps orphaned again: its region knows
			return
		}
		u.core.reap(m)
	}
}

func (c *core) reap(m *reap) {
	if err := c.upper.Store.Reap(m.Ino, m.Type); err != nil {
		c.log.Warn("orphan stays until the next mount", slog.Uint64("ino", m.Ino), slog.Any("error", err))
	}
}

func (u *upperLayer) failed(any)    {}
func (u *upperLayer) parked() []any { return nil }

// notifier is the actor that tells the kernel what changed without it. A notification may wait for a request that is under
// way in the same directory; the mailbox is the queue, and nobody waits for it.
type notifier struct{ core *core }

func (n *notifier) receive(msg any) {
	kernel := n.core.conn.Load()
	if kernel == nil {
		return
	}
	var err error
	switch m := msg.(type) {
	case *invalidateEntry:
		err = (*kernel).InvalidateEntry(m.Parent, m.Name)
	case *invalidateInode:
		err = (*kernel).InvalidateInode(m.Ino)
	}
	if err != nil {
		n.core.log.Debug("kernel notification", slog.Any("error", err))
	}
}

func (n *notifier) failed(any)    {}
func (n *notifier) parked() []any { return nil }
