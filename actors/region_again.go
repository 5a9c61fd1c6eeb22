package actors

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// A request that a process had when it died is sent again to the next one, which must not do twice what is done already. What
// the request was about to do is in the journal (begin), written before its first effect. Whether it came about is on the disk:
// the kernel holds the locks of the directories of a request that is not answered, so nobody else can have touched its names.
// Without an intent the request had not begun, and what it meets is the work of others.

// begin is Call.begin for a request that must not be done twice.
func (r *region) begin(m request, in tree.Intent) bool {
	c := m.call()
	if !c.begin() {
		return false
	}
	if err := r.core.journal.Begin(c.request, in); err != nil {
		r.core.log.Debug("intent not recorded", slog.Any("error", err)) // the journal is broken, and whoever flushes it says so
	}
	return true
}

// doubt returns what a request had begun to do in the process before this one.
func (r *region) doubt(m request) (tree.Intent, bool) {
	c := m.call()
	if !c.resent {
		return tree.Intent{}, false
	}
	in, ok := r.core.doubts[c.request]
	return in, ok
}

// place publishes where a node stands.
func (r *region) place(n, dir *tree.Node, name string) {
	n.SetPlace(tree.Place{Parent: dir, Name: name})
	r.core.journal.Moved(n)
}

func removal(n *tree.Node, m *remove) tree.Intent {
	return tree.Intent{Ino: n.Ino, From: tree.Spot{Parent: m.Parent.Ino, Name: m.Name}, Lower: lowerState(n)}
}

func renaming(m *rename, n, target *tree.Node) tree.Intent {
	in := tree.Intent{
		Ino:  n.Ino,
		From: tree.Spot{Parent: m.OldParent.Ino, Name: m.OldName}, To: tree.Spot{Parent: m.NewParent.Ino, Name: m.NewName},
	}
	if target != nil {
		in.Displaced, in.DisplacedLower = target.Ino, lowerState(target)
	}
	return in
}

// lowerState returns what is needed to show a lower file that has lost its name; nil for one in upper.
func lowerState(n *tree.Node) *tree.State {
	if s := n.State(); s.Where == tree.Lower {
		return s
	}
	return nil
}

// madeBefore tells whether a request to make a name, of a node or of another name of one, has done so before; it completes and
// answers it then. It also says so if it cannot tell yet: the request comes back.
func (r *region) madeBefore(m request, dir *tree.Node, to tree.Spot, complete func(request, *tree.Node) error) bool {
	in, begun := r.doubt(m)
	if !begun {
		return false
	}
	if !r.loaded(m, dir) {
		return true
	}
	e, made := dir.Table().Lookup(to.Name)
	if !made || in.Ino != 0 && e.Node.Ino != in.Ino {
		return false
	}
	n := r.core.index.Canonical(e.Node)
	if n.State().Where != tree.Upper {
		return false
	}
	c := m.call()
	if err := complete(m, n); err != nil {
		c.finish(err)
		return true
	}
	var err error
	c.node = n
	c.attr, err = r.core.upper.Attr(n, n.State())
	c.finish(err)
	return true
}

// completed does what a create or a link does after the name is made.
func (r *region) completed(msg request, n *tree.Node) error {
	m, ok := msg.(*create)
	if !ok { // a link; what O_TMPFILE had in place of a name goes
		if n.State().Orphan {
			l := msg.(*link)
			r.seat(n, l.Parent, l.Name)
		}
		return r.core.upper.Store.Reap(n.Ino, n.Type)
	}
	dir, err := r.core.upper.Open(m.Parent)
	if err != nil {
		return err
	}
	defer dir.Release()
	f, err := r.core.upper.Open(n)
	if err != nil {
		return err
	}
	defer f.Release()
	return r.core.upper.Store.Complete(dir, f, m.Birth)
}

// renamedBefore tells whether a rename was done before, and completes and answers it then. Both tables are loaded.
func (r *region) renamedBefore(m *rename, in tree.Intent) bool {
	to, ok := m.NewParent.Table().Lookup(m.NewName)
	if !ok || to.Node.Ino != in.Ino {
		return false
	}
	left, ok := m.OldParent.Table().Lookup(m.OldName)
	if ok && m.Flags&unix.RENAME_EXCHANGE == 0 && left.Node.Ino == in.Displaced {
		m.finish(r.displaced(m, left))
		return true
	}
	m.finish(nil)
	return true
}

// displaced is the second half of the rename of a directory over another one (upper.Store.Rename).
func (r *region) displaced(m *rename, left tree.Entry) error {
	dir, err := r.core.upper.Open(m.OldParent)
	if err != nil {
		return err
	}
	defer dir.Release()
	n := r.core.index.Canonical(left.Node)
	defer r.core.upper.Moves.Begin()()
	if err := r.core.upper.Store.Orphan(dir, m.OldName, n.Ino, left.Covers); err != nil {
		return err
	}
	r.orphaned(n)
	m.OldParent.SetTable(m.OldParent.Table().Without(m.OldName))
	return nil
}
