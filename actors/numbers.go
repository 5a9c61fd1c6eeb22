package actors

import (
	"github.com/antares-actor/antares-actor/internal/tree"
)

// lowerNumber returns the number of what a lower layer has at a name. plain is the path's. If the kernel knows that
// as something else, such as the file that an earlier commit had there and that somebody has open, the number comes from the path
// and the object, so that a process that takes the mount over finds the same.
func (c *core) lowerNumber(dir *tree.Node, name string, plain uint64, s *tree.State) uint64 {
	free, version := uint64(0), tree.VersionIno(plain, s.Object)
	for i, at := uint64(0), plain; ; i++ {
		known, here := c.stands(at, dir, name, s)
		switch {
		case here:
			return at
		case !known && free == 0:
			free = at
		}
		if !known && i > 0 {
			return free
		}
		at = tree.NearIno(version, i)
	}
}

// stands tells whether the kernel knows a number, and whether it does so as what has this state at this name.
func (c *core) stands(ino uint64, dir *tree.Node, name string, s *tree.State) (known, here bool) {
	d, n := c.index.Dormant(ino)
	switch {
	case n != nil:
		is := n.State()
		object := is.Where == tree.Upper || is.Object == s.Object || n.IsDir()
		return true, object && !is.Orphan && *n.Place() == tree.Place{Parent: dir, Name: name}
	case d != nil:
		return true, d.Orphan == nil && d.Parent == dir.Ino && d.Name == name
	default:
		return false, false
	}
}

// renumber replaces an entry's node, which the kernel does not know, by one with a number of its own.
func (r *region) renumber(m *renumber) {
	if !r.loaded(m, m.Parent) {
		return
	}
	e, ok := m.Parent.Table().Lookup(m.Name)
	if !ok || !r.core.misnumbered(e.Node) || !m.begin() {
		m.finish(nil)
		return
	}
	s := *e.Node.State()
	var ino uint64
	if s.Where == tree.Lower {
		ino = r.core.lowerNumber(m.Parent, m.Name, e.Node.Ino, &s)
	} else {
		ino = r.core.freeIno(tree.UpperIno(s.UpperIno))
	}
	e.Node = tree.NewNode(ino, e.Node.Owner, e.Node.Type, tree.Place{Parent: m.Parent, Name: m.Name}, s)
	if s.Below != nil && s.Below.Redirect != "" {
		r.core.dicfuseActor.Tell(&redirected{Node: e.Node})
	}
	m.finish(r.show(m.Parent, e))
}
