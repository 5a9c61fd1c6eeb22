package actors

import (
	"github.com/antares-actor/antares-actor/internal/tree"
)

// The split rule: directories near the root, and those that would make a region too large, start regions of their own, so
// that builds in different parts of the repository do not share a mailbox. 1024 directories are about what one package
// tree has; more regions cost 2 KiB each.
const (
	splitDepth   = 2    // a directory fewer levels below the root than this starts a region
	regionLimit  = 1024 // directories of one region
	regionsLimit = 4096 // regions of one mount; after that they grow
)

// region owns the tables of its directories, and everything that stands in them. Its methods are split by op family over
// region_*.go.
//
// A message is received as often as it takes: a method that misses something (a table, a promotion) parks the message or
// sends it where that is made, and returns; when it is there the message is received again, from its beginning. So every
// method checks everything before its first effect, and nothing is half done while it waits.
type region struct {
	core    *core
	self    *handle
	loading map[*tree.Node][]any // parked until the directory's table is there
	sizing  map[*tree.Node][]any // parked until the file's size is there
	retrees map[*tree.Node]*retree
	dirs    int
}

func newRegion(c *core, self *handle) *region {
	return &region{
		core: c, self: self,
		loading: make(map[*tree.Node][]any), sizing: make(map[*tree.Node][]any), retrees: make(map[*tree.Node]*retree),
	}
}

func (r *region) receive(msg any) {
	switch m := msg.(type) {
	case *loadTable:
		r.loadTable(m)
	case *resolveSize:
		r.resolveSize(m)
	case *promoteNode:
		r.promoteNode(m)
	case *create:
		r.create(m)
	case *createTemp:
		r.createTemp(m)
	case *link:
		r.link(m)
	case *remove:
		r.remove(m)
	case *reseat:
		r.reseat(m)
	case *renumber:
		r.renumber(m)
	case *restore:
		r.restore(m)
	case *reap:
		r.reap(m)
	case *rename:
		r.rename(m)
	case *adopt:
		r.adopt(m)
	case *setAttr:
		r.setAttr(m)
	case *setXattr:
		r.setXattr(m)
	case *relay:
		r.relay(m)
	case *treeFetched:
		r.treeFetched(m)
	case *listed:
		r.listed(m)
	case *sized:
		r.sized(m)
	case *rebase:
		r.rebase(m)
	case *retree:
		r.retree(m)
	case *relaid:
		r.relaid(m)
	case *severed:
		r.severed(m)
	case *vacated:
		r.vacated(m)
	case *gone:
		r.gone()
	}
}

// failed forgets the tables that the message may have left behind the disk, and has the kernel forget the names.
func (r *region) failed(msg any) {
	doubt := func(dir *tree.Node, name string) {
		r.core.unlisted.Store(true)
		dir.SetTable(nil)
		r.core.notifier.Tell(&invalidateEntry{Parent: dir.Ino, Name: name})
		r.core.notifier.Tell(&invalidateInode{Ino: dir.Ino})
	}
	switch m := msg.(type) {
	case *create:
		doubt(m.Parent, m.Name)
	case *link:
		doubt(m.Parent, m.Name)
		r.core.notifier.Tell(&invalidateInode{Ino: m.Node.Ino})
	case *remove:
		doubt(m.Parent, m.Name)
	case *restore:
		doubt(m.Parent, m.Name)
		m.call().finish(m.Err)
	case *rename:
		doubt(m.OldParent, m.OldName)
		doubt(m.NewParent, m.NewName)
	case *adopt:
		doubt(m.Rename.NewParent, m.Rename.NewName)
	case *setAttr:
		r.core.notifier.Tell(&invalidateInode{Ino: m.Node.Ino})
	case *treeFetched:
		if m.For == nil { // else it is parked
			r.drain(r.loading, m.Dir, ErrPanic)
		}
	case *rebase: // it can be done twice
		if m.tries++; m.tries < retreeTries && !m.over.Load() {
			r.self.Tell(m)
		} else {
			m.finish()
		}
	case *vacated:
		if m.tries++; m.tries < retreeTries {
			r.self.Tell(m)
		}
	case *retree:
		if r.retrees[m.Dir] != m && !m.over.Load() { // else it is parked, or done
			r.self.Tell(m)
		}
	case *listed:
		r.drain(r.loading, m.Dir, ErrPanic)
	case *sized:
		for _, n := range m.Nodes {
			r.drain(r.sizing, n, ErrPanic)
		}
	}
}

func (r *region) parked() []any {
	var all []any
	for _, m := range []map[*tree.Node][]any{r.loading, r.sizing} {
		for _, msgs := range m {
			all = append(all, msgs...)
		}
	}
	for _, m := range r.retrees {
		all = append(all, m)
	}
	return all
}

// drain receives the messages parked for n again, or ends them with err.
func (r *region) drain(park map[*tree.Node][]any, n *tree.Node, err error) {
	msgs := park[n]
	delete(park, n)
	for _, m := range msgs {
		q, asks := m.(request)
		_, switches := m.(*retree) // finds that there is nothing to lay out
		switch {
		case err == nil || switches:
			r.self.Tell(m) // by the mailbox: a panic in one must not lose the others
		case asks:
			q.call().finish(err)
		}
	}
}

// loaded tells whether dir's table is there; if not, msg comes back when it is.
func (r *region) loaded(msg request, dir *tree.Node) bool {
	switch {
	case dir.Table() != nil:
		return true
	case dir.Owner != &r.self.Owner:
		dir.Owner.Tell(&relay{Dir: dir, To: &r.self.Owner, Msg: msg})
	default:
		r.await(dir, msg)
	}
	return false
}

// promoted tells whether n is in upper; if not, msg comes back when it is.
func (r *region) promoted(msg request, n *tree.Node) bool {
	if n.State().Where == tree.Upper {
		return true
	}
	r.core.copyUp.Tell(&promote{Node: n, Keep: keepAll, Back: &r.self.Owner, Msg: msg})
	return false
}

// detached tells whether n, which is about to lose its last name, is out of reach of promotions into that name: it is in
// upper, or copy-up has marked it. If not, msg comes back when it is. msg must have begun.
func (r *region) detached(msg request, n *tree.Node) bool {
	if s := n.State(); s.Where == tree.Upper || s.Orphan {
		return true
	}
	r.core.copyUp.Tell(&detach{Node: n, Back: &r.self.Owner, Msg: msg})
	return false
}

func (r *region) loadTable(m *loadTable) {
	if r.loaded(m, m.Dir) {
		m.finish(nil)
	}
}

func (r *region) relay(m *relay) {
	switch {
	case m.Dir.Table() != nil:
		m.To.Tell(m.Msg)
	default:
		r.await(m.Dir, m)
	}
}

func (r *region) promoteNode(m *promoteNode) {
	if m.Node.State().Where == tree.Upper {
		m.finish(nil)
		return
	}
	r.core.copyUp.Tell(&promote{Node: m.Node, Keep: m.Keep, Msg: m})
}
