package actors

import (
	"log/slog"
)

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
	case *told:
		m.then()
	}
	if err != nil {
		n.core.log.Debug("kernel notification", slog.Any("error", err))
	}
}

func (n *notifier) failed(msg any) {
	if m, ok := msg.(*told); ok {
		m.then()
	}
}

func (n *notifier) parked() []any { return nil }
