package actors

import (
	"log/slog"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// restore moves an orphan back to a name that it did not lose. A removal cut the node off from its name, it was promoted into
// the work directory then, and the whiteout that was to take the name failed: a full disk does that. If this fails as well,
// it is tried again when the directory is listed; the name shows the lower file if the kernel has let go of the node by then.
func (r *region) restore(m *restore) {
	defer m.call().finish(m.Err)
	n := m.Node
	if s := n.State(); s.Where != tree.Upper || !s.Orphan || *n.Place() != (tree.Place{Parent: m.Parent, Name: m.Name}) {
		return
	}
	if t := m.Parent.Table(); t != nil {
		if e, ok := t.Lookup(m.Name); !ok || e.Node.Ino != n.Ino {
			return // it is removed after all
		}
	}
	defer r.core.upper.Moves.Begin()()
	if err := r.restoreOnDisk(m); err != nil {
		r.core.log.Warn("a file that could not be removed is without its name until its directory is listed again",
			slog.String("path", n.Path()), slog.Any("error", err))
		m.Parent.SetTable(nil)
		r.core.notifier.Tell(&invalidateEntry{Parent: m.Parent.Ino, Name: m.Name})
		return
	}
	r.seat(n, m.Parent, m.Name)
	r.core.notifier.Tell(&invalidateInode{Ino: n.Ino}) // it knows the link count 0
}

func (r *region) restoreOnDisk(m *restore) error {
	dir, err := r.core.upper.Open(m.Parent)
	if err != nil {
		return err
	}
	defer dir.Release()
	return r.core.upper.Store.Restore(m.Node.Ino, dir, m.Name)
}
