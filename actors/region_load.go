package actors

import (
	"fmt"
	"strings"

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
	s := dir.State()
	if s.Object == object.EmptyTree || s.Object.IsZero() && s.Redirect == "" {
		r.list(dir, nil)
		return
	}
	if payload, ok := r.core.source.content.Bytes(s.Object); ok && !s.Object.IsZero() {
		r.list(dir, payload)
		return
	}
	r.core.dicfuseActor.Tell(&readTree{Dir: dir, ID: s.Object, Path: dir.LowerPath(), To: &r.self.Owner})
}

func (r *region) treeFetched(m *treeFetched) {
	if m.Err != nil {
		r.drain(r.loading, m.Dir, m.Err)
		return
	}
	r.list(m.Dir, m.Payload)
}

// list reads what upper has of the directory and merges it, in a worker: both may be large.
func (r *region) list(dir *tree.Node, payload []byte) {
	fact := &listed{Dir: dir, Err: ErrPanic}
	tell := func() { r.self.Tell(fact) }
	r.core.work(func() {
		fact.Items, fact.Err = r.core.list(dir, payload)
		tell()
	}, tell)
}

func (c *core) list(dir *tree.Node, payload []byte) ([]layer.Item, error) {
	lower, err := object.ParseTree(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: list %s: %w", ErrOrigin, dir.Path(), err)
	}
	var found []upper.Found
	if dir.State().Where == tree.Upper {
		f, err := c.upper.Open(dir)
		if err != nil {
			return nil, err
		}
		defer f.Release()
		if found, err = c.upper.Store.Scan(f); err != nil {
			return nil, err
		}
	}
	return layer.Merge(lower, found), nil
}

// listed publishes a directory's table. A fact of a reading that an earlier incarnation started may come when the table is
// there already, and then may be older than it.
func (r *region) listed(m *listed) {
	if m.Dir.Table() != nil {
		r.drain(r.loading, m.Dir, nil)
		return
	}
	if m.Err == nil {
		m.Err = r.publish(m.Dir, m.Items)
	}
	r.drain(r.loading, m.Dir, m.Err)
}

func (r *region) publish(dir *tree.Node, items []layer.Item) error {
	lower := dir.LowerPath()
	depth := 0
	for at := dir.Place(); at.Parent != nil && depth < splitDepth; at = at.Parent.Place() {
		depth++
	}
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
	ino, typ, state := r.core.itemState(lower, item)
	for _, known := range []*tree.Node{r.core.index.Find(ino), twins[ino]} {
		if known == nil {
			continue
		}
		if known.Type == typ && sameFile(known.State(), &state) {
			if s := known.State(); s.Where == tree.Lower && s.Orphan { // its removal was cut short
				r.core.copyUp.Tell(&reattach{Node: known})
			}
			return known
		}
		ino = r.core.freeIno(tree.UpperIno(state.UpperIno)) // somebody copied the mark together with the file
	}
	owner := dir.Owner
	if tree.IsDir(typ) {
		owner = r.ownerFor(depth)
	}
	n := tree.NewNode(ino, owner, typ, tree.Place{Parent: dir, Name: item.Name}, state)
	if state.Where == tree.Upper && !n.IsDir() {
		twins[ino] = n
	}
	return n
}

// sameFile tells whether a node's state and what was found are one inode. A node that is still lower may have been promoted
// on disk by somebody whose fact is on its way.
func sameFile(known, found *tree.State) bool {
	return known.Where == tree.Lower || found.Where == tree.Lower || known.UpperIno == found.UpperIno
}

// itemState returns the number, type and state of the inode of an item in the directory whose lower half is at lower.
func (c *core) itemState(lower string, item *layer.Item) (ino uint64, typ uint32, s tree.State) {
	path := c.dicfuse.Path(lower)
	if item.IsLower {
		s = layer.LowerState(*item.Lower)
		return tree.LowerChildIno(path, item.Name), s.Mode & typeMask, s
	}
	s = tree.State{Where: tree.Upper, UpperIno: item.Upper.Ino}
	ino = tree.UpperIno(item.Upper.Ino)
	if item.Merged() {
		s.Object = layer.LowerState(*item.Lower).Object
		ino = tree.LowerChildIno(path, item.Name) // also where another overlay made the directory, without our mark
	}
	if to := item.Upper.Redirect; to != "" {
		if s.Redirect = strings.TrimPrefix(to, "/"); s.Redirect == to { // a name in the same parent
			s.Redirect = strings.TrimPrefix(lower+"/"+to, "/")
		}
		ino = tree.LowerIno(c.dicfuse.Path(s.Redirect))
	}
	if marked, ok := tree.DecodeIno(item.Upper.Mark); ok {
		ino = marked
	}
	return ino, item.Upper.Type, s
}

const typeMask = 0o170000

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
