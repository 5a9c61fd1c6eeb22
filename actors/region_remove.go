package actors

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

func (r *region) remove(m *remove) {
	if !r.loaded(m, m.Parent) {
		return
	}
	e, ok := m.Parent.Table().Lookup(m.Name)
	if in, begun := r.doubt(m); begun && (!ok || e.Node.Ino != in.Ino) {
		m.finish(nil) // it was removed before
		return
	}
	if !ok {
		m.finish(errno("remove "+m.Name, unix.ENOENT))
		return
	}
	n := r.core.index.Canonical(e.Node)
	if err := removable(n, m.Dir); err != nil {
		m.finish(err)
		return
	}
	if m.Dir {
		if !r.loaded(m, n) {
			return
		}
		if n.Table().Len() > 0 {
			m.finish(errno("rmdir "+m.Name, unix.ENOTEMPTY))
			return
		}
	}
	standAt(n, m.Parent, m.Name)
	if e.Covers && !r.promoted(m, m.Parent) || several(n) && !r.promoted(m, n) || !r.begin(m, removal(n, m)) || !r.detached(m, n) {
		return
	}
	if err := r.removeNow(m, e, n); err != nil {
		r.core.copyUp.Tell(&reattach{Node: n, Parent: m.Parent, Name: m.Name, Msg: m, Err: err})
		return
	}
	m.Parent.SetTable(m.Parent.Table().Without(m.Name))
	m.finish(nil)
}

func removable(n *tree.Node, dir bool) error {
	switch {
	case dir && !n.IsDir():
		return errno("rmdir", unix.ENOTDIR)
	case !dir && n.IsDir():
		return errno("unlink", unix.EISDIR)
	}
	return nil
}

// removeNow takes the name away on disk, and publishes what that makes of the node.
func (r *region) removeNow(m *remove, e tree.Entry, n *tree.Node) error {
	dir, err := r.core.upper.Open(m.Parent)
	if err != nil {
		return err
	}
	defer dir.Release()
	if r.below(n, dir, m.Name) {
		if err := r.core.upper.Store.Whiteout(dir, m.Name); err != nil {
			return err
		}
		r.loseName(n)
		return nil
	}
	keep, err := r.mustKeep(n, m.Parent, m.Name)
	if err != nil {
		return err
	}
	if !keep {
		if err := r.core.upper.Store.Unlink(dir, m.Name, e.Covers); err != nil {
			return err
		}
		r.loseName(n)
		return nil
	}
	defer r.core.upper.Moves.Begin()()
	if err := r.core.upper.Store.Orphan(dir, m.Name, n.Ino, e.Covers); err != nil {
		return err
	}
	r.orphaned(n)
	return nil
}

// below tells whether upper has nothing under the name by which n is about to be lost: n is in the lower layer, or was cut
// off from the name there (detached) and promoted since, which put it into the work directory.
func (r *region) below(n *tree.Node, dir *upper.File, name string) bool {
	s := n.State()
	return s.Where == tree.Lower || (s.Orphan || s.Indexed) && !r.core.upper.Store.Has(dir, name)
}

// several tells whether a file of a local lower layer has several names there. Before it loses one it is copied up, so that
// its number of names has a place to be counted.
func several(n *tree.Node) bool { return n.Links() > 0 && n.State().Where == tree.Lower }

// standAt has a file with several names in a local lower layer copied up to the one that is being changed: any of them will do,
// and no other one then shows in upper without having been touched.
func standAt(n, dir *tree.Node, name string) {
	if several(n) {
		n.SetPlace(tree.Place{Parent: dir, Name: name})
	}
}

// gainName and loseName count the names of a file that is in the index; with its last name it becomes an orphan. The name has
// come or gone already: what fails here only leaves a wrong count behind.
func (r *region) gainName(n *tree.Node) {
	if n.State().Indexed {
		r.complain(n, r.countNames(n, 1))
	}
}

func (r *region) loseName(n *tree.Node) {
	if !n.State().Indexed {
		return
	}
	r.complain(n, r.countNames(n, -1))
	if n.Links() > 0 {
		return
	}
	r.complain(n, r.core.upper.Store.OrphanIndexed(n.Ino))
	s := *n.State()
	s.Indexed = false
	n.SetState(s)
	r.orphaned(n)
}

func (r *region) countNames(n *tree.Node, delta int32) error {
	n.AddLinks(delta)
	f, err := r.core.upper.Open(n)
	if err != nil {
		return err
	}
	defer f.Release()
	return r.core.upper.Store.SetLinks(f, n.Links)
}

func (r *region) complain(n *tree.Node, err error) {
	if err != nil {
		r.core.log.Warn("names of a file miscounted", slog.String("path", n.Path()), slog.Any("error", err))
	}
}

// inUpper sees to it that upper has the name of an indexed file that is about to be moved.
func (r *region) inUpper(n *tree.Node, dir *upper.File, name string) error {
	if !n.State().Indexed || r.core.upper.Store.Has(dir, name) {
		return nil
	}
	return r.core.upper.Store.LinkIndexed(n.Ino, dir, name)
}

// mustKeep tells whether the upper file must be kept in the work directory when it loses the name dir/name: because it has
// no other, or because this is the one by which we open it.
func (r *region) mustKeep(n, dir *tree.Node, name string) (bool, error) {
	if s := n.State(); s.Orphan || s.Indexed {
		return false, nil // kept already
	}
	if n.IsDir() {
		return true, nil
	}
	if at := n.Place(); at.Parent != dir || at.Name != name {
		if a, err := r.core.upper.Attr(n, n.State()); err != nil || a.Nlink > 1 {
			return false, err
		}
	}
	// What is there is of another name that it lost before the kernel let go of it. Were it left there until the upper layer
	// comes to reap it, the rename to it would do nothing: both are links of one file.
	return true, r.core.upper.Store.Reap(n.Ino, n.Type)
}

// reap removes what the work directory has of a node that the kernel let go of, and learned again by another name.
func (r *region) reap(m *reap) {
	if n := r.core.index.Find(m.Ino); n == nil || !n.State().Orphan {
		r.core.reap(m)
	}
}

// orphaned publishes that an upper file now stands in the work directory, until the kernel lets go of it.
func (r *region) orphaned(n *tree.Node) {
	s := *n.State()
	s.Orphan = true
	n.SetState(s)
	if !r.core.index.Knows(n.Ino) { // it never heard of it
		r.core.upperActor.Tell(&reap{Ino: n.Ino, Type: n.Type})
	}
}

// reseat gives a file that lost the name by which it was opened, but has another, that other one.
func (r *region) reseat(m *reseat) {
	if !r.loaded(m, m.Parent) {
		return
	}
	e, ok := m.Parent.Table().Lookup(m.Name)
	if !ok || !m.begin() {
		m.finish(nil) // gone again: whoever asked looks again
		return
	}
	n := r.core.index.Canonical(e.Node)
	if s := n.State(); !s.Orphan || s.Where == tree.Lower {
		m.finish(nil)
		return
	}
	defer r.core.upper.Moves.Begin()()
	if err := r.core.upper.Store.Reap(n.Ino, n.Type); err != nil {
		m.finish(err)
		return
	}
	r.seat(n, m.Parent, m.Name)
	m.finish(nil)
}

// seat publishes that an orphan has a name.
func (r *region) seat(n, dir *tree.Node, name string) {
	r.place(n, dir, name)
	s := *n.State()
	s.Orphan = false
	n.SetState(s)
}
