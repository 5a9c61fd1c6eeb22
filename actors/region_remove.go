package actors

import (
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

func (r *region) remove(m *remove) {
	if !r.loaded(m, m.Parent) {
		return
	}
	e, ok := m.Parent.Table().Lookup(m.Name)
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
	if e.Covers && !r.promoted(m, m.Parent) || !m.begin() || !r.detached(m, n) {
		return
	}
	if err := r.removeNow(m, e, n); err != nil {
		if n.State().Where == tree.Lower {
			r.core.copyUp.Tell(&reattach{Node: n})
		}
		m.finish(err)
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
		return r.core.upper.Store.Whiteout(dir, m.Name)
	}
	end := r.core.upper.Moves.Begin()
	defer end()
	keep, err := r.mustKeep(n, m.Parent, m.Name)
	if err != nil {
		return err
	}
	if !keep {
		return r.core.upper.Store.Unlink(dir, m.Name, e.Covers)
	}
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
	return s.Where == tree.Lower || s.Orphan && !r.core.upper.Store.Has(dir, name)
}

// mustKeep tells whether the upper file must be kept in the work directory when it loses the name dir/name: because it has
// no other, or because this is the one by which we open it.
func (r *region) mustKeep(n, dir *tree.Node, name string) (bool, error) {
	if n.State().Orphan {
		return false, nil // kept already
	}
	if at := n.Place(); n.IsDir() || at.Parent == dir && at.Name == name {
		return true, nil
	}
	a, err := r.core.upper.Attr(n, n.State())
	return a.Nlink <= 1, err
}

// orphaned publishes that an upper file now stands in the work directory, until the kernel lets go of it.
func (r *region) orphaned(n *tree.Node) {
	s := *n.State()
	s.Orphan = true
	n.SetState(s)
	if r.core.index.Find(n.Ino) == nil { // it never heard of it
		r.core.upperActor.Tell(&reap{Ino: n.Ino, Type: n.Type})
	}
}

// displace prepares that n, which stands at dir/name, is replaced by a rename: an upper file gets a link in the work
// directory first. Directories are exchanged, not replaced.
func (r *region) displace(n, parent *tree.Node, dir *upper.File, name string) (kept bool, err error) {
	if n.State().Where == tree.Lower || n.IsDir() {
		return false, nil
	}
	kept, err = r.mustKeep(n, parent, name)
	if err != nil || !kept {
		return false, err
	}
	return true, r.core.upper.Store.Keep(dir, name, n.Ino)
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
	s := *n.State()
	if !s.Orphan || s.Where == tree.Lower {
		m.finish(nil)
		return
	}
	defer r.core.upper.Moves.Begin()()
	if err := r.core.upper.Store.Reap(n.Ino, n.Type); err != nil {
		m.finish(err)
		return
	}
	n.SetPlace(tree.Place{Parent: m.Parent, Name: m.Name})
	s.Orphan = false
	n.SetState(s)
	m.finish(nil)
}
