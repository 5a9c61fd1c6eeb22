package actors

import (
	"fmt"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// await parks msg until dir's table is there, and starts reading it if nobody has.
func (r *region) await(dir *tree.Node, msg any) {
	first := len(r.loading[dir]) == 0
	r.loading[dir] = append(r.loading[dir], msg)
	if !first {
		return
	}
	if dir.LastTable() != nil {
		r.catchUp(dir)
		return
	}
	s := dir.State()
	if !r.core.fromOrigin(s) {
		r.list(dir, nil)
		return
	}
	if payload, ok := r.core.source.content.Bytes(s.Object); ok && !s.Object.IsZero() {
		r.list(dir, payload)
		return
	}
	r.core.dicfuseActor.Tell(r.reading(dir))
}

func (r *region) treeFetched(m *treeFetched) {
	switch {
	case m.For != nil && m.Err != nil:
		r.retryRetree(m.For, m.Err)
		return
	case m.For != nil:
		r.lay(m.For, m.Payload)
		return
	case m.Err != nil:
		r.drain(r.loading, m.Dir, m.Err)
		return
	}
	r.list(m.Dir, m.Payload)
}

// list reads what upper and the local lower layers have of the directory and merges it, in a worker: all may be large.
func (r *region) list(dir *tree.Node, payload []byte) {
	fact := &listed{Dir: dir, Err: ErrPanic}
	tell := func() { r.self.Tell(fact) }
	r.core.work(func() {
		fact.Items, fact.Err = r.core.list(dir, payload)
		tell()
	}, tell)
}

// lowerHalf says where the lower layers have a directory.
func lowerHalf(dir *tree.Node) layer.Parent {
	s := dir.State()
	p := layer.Parent{Path: dir.LowerPath(), Origin: dir.OriginPath(), HasOrigin: !s.Object.IsZero()}
	if s.Below != nil {
		p.Halves, p.HasOrigin = s.Below.Halves, p.HasOrigin || s.Below.Origin != ""
	}
	return p
}

// listLower returns what the lower layers show of a directory together, of which the origin has this tree object.
func (c *core) listLower(dir *tree.Node, payload []byte) ([]layer.Entry, error) {
	origin, err := object.ParseTree(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: list %s: %w", ErrOrigin, dir.Path(), err)
	}
	return c.local.List(lowerHalf(dir), layer.FromOrigin(origin, dir.State().Pin))
}

func (c *core) list(dir *tree.Node, payload []byte) ([]layer.Item, error) {
	lower, err := c.listLower(dir, payload)
	if err != nil {
		return nil, err
	}
	s, p := dir.State(), lowerHalf(dir)
	var found []upper.Found
	if s.Where == tree.Upper {
		f, err := c.upper.Open(dir)
		if err != nil {
			return nil, err
		}
		defer f.Release()
		if found, err = c.upper.Store.Scan(f); err != nil {
			return nil, err
		}
	}
	items := layer.Merge(lower, found)
	for i := range items {
		if u := items[i].Upper; u != nil && u.Redirect != "" {
			if items[i].Below, err = c.local.Redirect(p, u.Redirect); err != nil {
				return nil, err
			}
		}
	}
	return items, nil
}

// listed publishes a directory's table. A fact of a reading that an earlier incarnation started may come when the table is
// there already, and then may be older than it.
func (r *region) listed(m *listed) {
	if m.Dir.Table() != nil {
		r.drain(r.loading, m.Dir, nil)
		return
	}
	if m.Dir.State().Orphan {
		m.Items = nil // it lost its name to a switch while it was read
	}
	if m.Err == nil {
		m.Err = r.publish(m.Dir, m.Items)
	}
	r.drain(r.loading, m.Dir, m.Err)
}

func (r *region) publish(dir *tree.Node, items []layer.Item) error {
	lower, depth := dir.LowerPath(), depthOf(dir)
	entries := make([]tree.Entry, 0, len(items))
	twins := make(map[uint64]*tree.Node) // upper files with a second name in this directory
	for i := range items {
		n := r.nodeFor(dir, lower, &items[i], twins, depth)
		entries = append(entries, tree.Entry{Name: items[i].Name, Node: n, Covers: items[i].Covers})
	}
	t, err := tree.NewTable(entries)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	r.dirs++
	dir.SetTable(t)
	return nil
}

// nodeFor returns the node that an item shows: the one that the kernel knows, or a new one.
func (r *region) nodeFor(dir *tree.Node, lower string, item *layer.Item, twins map[uint64]*tree.Node, depth int) *tree.Node {
	ino, typ, state, links := r.core.itemState(lower, item)
	if item.IsLower && links == 0 && r.core.pins.switched.Load() {
		ino = r.core.lowerNumber(dir, item.Name, ino, &state)
	}
	for _, known := range []*tree.Node{r.core.index.Find(ino), twins[ino]} {
		if known == nil {
			continue
		}
		if known.Type == typ && sameFile(known, &state, tree.Place{Parent: dir, Name: item.Name}, links) {
			if known.State().Orphan && state.Where == tree.Lower { // its removal was cut short
				r.core.copyUp.Tell(&reattach{Node: known, Parent: dir, Name: item.Name})
			}
			return known
		}
		if state.Where == tree.Lower {
			ino = r.core.lowerNumber(dir, item.Name, ino, &state)
			continue
		}
		ino = r.core.freeIno(tree.UpperIno(state.UpperIno)) // somebody copied the mark together with the file
	}
	owner := dir.Owner
	if tree.IsDir(typ) {
		owner = r.ownerFor(depth)
	}
	n := tree.NewNode(ino, owner, typ, tree.Place{Parent: dir, Name: item.Name}, state)
	n.SetLinks(links)
	if state.Below != nil && state.Below.Redirect != "" {
		r.core.dicfuseActor.Tell(&redirected{Node: n})
	}
	n = r.core.wakeByName(n)
	if !n.IsDir() && (state.Where == tree.Upper || links > 0) {
		twins[ino] = n
	}
	return n
}

// sameFile tells whether a node and what was found somewhere are one inode. A node that is still lower may have been promoted
// on disk by somebody whose fact is on its way, but not moved. Another one has its number if a directory that was renamed is no
// longer hidden under its old name: by then the origin had nothing there, and has again.
func sameFile(n *tree.Node, found *tree.State, at tree.Place, links uint32) bool {
	s := n.State()
	if s.Where == tree.Upper && found.Where == tree.Upper {
		return s.UpperIno == found.UpperIno
	}
	return links > 0 || *n.Place() == at
}

// itemState returns the number, type and state of the inode of an item in the directory whose lower half is at lower, and
// for a file with several names in a local lower layer how many it has.
func (c *core) itemState(lower string, item *layer.Item) (ino uint64, typ uint32, s tree.State, links uint32) {
	path := c.dicfuse.Path(lower)
	if item.IsLower {
		if item.Lower.Links > 0 {
			return c.linkedState(item.Lower)
		}
		return tree.LowerChildIno(path, item.Name), item.Lower.Type, item.Lower.State, 0
	}
	s = tree.State{Where: tree.Upper, UpperIno: item.Upper.Ino}
	ino = tree.UpperIno(item.Upper.Ino)
	if item.Merged() {
		s.Object, s.Pin, s.Below = item.Lower.State.Object, item.Lower.State.Pin, item.Lower.State.Below
		ino = tree.LowerChildIno(path, item.Name) // also where another overlay made the directory, without our mark
	}
	if item.Below != nil {
		s.Below = item.Below
		ino = tree.LowerIno(c.dicfuse.Path(s.Below.Redirect))
	}
	if marked, ok := tree.DecodeIno(item.Upper.Mark); ok {
		ino = marked
		if item.Upper.Links > 0 {
			if at, count, ok := c.upper.Store.Indexed(ino); ok && at == s.UpperIno {
				s.Indexed, links = true, count
			}
		}
	}
	return ino, item.Upper.Type, s, links
}

// linkedState is itemState of a name that a file with several names has in a local lower layer. It may have been copied up by
// another name.
func (c *core) linkedState(e *layer.Entry) (ino uint64, typ uint32, s tree.State, links uint32) {
	if at, count, ok := c.upper.Store.Indexed(e.LinkIno); ok {
		return e.LinkIno, e.Type, tree.State{Where: tree.Upper, UpperIno: at, Indexed: true}, count
	}
	return e.LinkIno, e.Type, e.State, e.Links
}

// ownerFor applies the split rule to a new directory whose parent is depth levels below the root.
func (r *region) ownerFor(depth int) *tree.Owner {
	r.dirs++
	if (depth+1 < splitDepth || r.dirs > regionLimit) && r.core.regions.count.Load() < regionsLimit {
		if r.dirs > regionLimit {
			r.dirs = 0 // the region goes on with what it has; the next thousand go elsewhere again
		}
		return r.core.spawnRegion()
	}
	return &r.self.Owner
}

// freeIno returns the number, or one near it if the kernel knows another node by it. That takes a file that vanished from
// upper under the mount, whose number the file system then gave to a new one.
func (c *core) freeIno(ino uint64) uint64 {
	for c.index.Find(ino) != nil {
		ino += 1 << 48
	}
	return ino
}
