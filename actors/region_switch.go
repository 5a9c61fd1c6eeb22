package actors

import (
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// Commands and facts of a switch to another commit, to a region.
type (
	// retree asks for a directory's table with the lower half that its state says.
	retree struct {
		part
		Dir      *tree.Node
		tries    int
		failures int
		listed   bool // the directory was listed for it, or could not be
		late     bool // the switch is over: somebody asks for a directory that could not be laid out in it
	}
	// rebase gives a directory that no parent leads to by its name, the root or one with a redirect, its new lower half.
	rebase struct {
		part
		Node   *tree.Node
		Object object.ID // of the root; else it is found by the redirect
		tries  int
	}
	// relaid is the new lower half of a directory, read by a worker.
	relaid struct {
		For   *retree
		Below []layer.Entry
		Names map[string]*layer.Entry // Below by name
		Err   error
	}
	// severed answers sever.
	severed struct {
		Laid *relaid
		Cut  map[*tree.Node]bool
		Err  error
	}
	// vacated says that a directory lost its name, and everything in it.
	vacated struct {
		Dir   *tree.Node
		tries int
	}
)

// A switch must come about everywhere: what fails is tried again, a panic so often, anything else for one and a half seconds.
const (
	retreeTries = 3
	layTries    = 5
	layWait     = 100 * time.Millisecond // and doubled each time
)

func (r *region) rebase(m *rebase) {
	n := m.Node
	if at := n.Place().Parent; at != nil && at.Owner != &r.self.Owner { // it moved
		at.Owner.Tell(m)
		return
	}
	s := *n.State()
	s.Pin = m.Switch.pin
	if n == r.core.root {
		s.Object = m.Object
	} else if !s.Orphan { // the path leads to it
		s.Object = object.ID{}
	}
	n.SetState(s)
	m.Switch.retree(n)
	m.finish()
}

// retree begins to lay a directory out anew. What is not listed will be read at the new commit when somebody wants it.
func (r *region) retree(m *retree) {
	dir := m.Dir
	if old := r.retrees[dir]; old != nil && old != m {
		delete(r.retrees, dir)
		old.finish()
	}
	m.tries++
	switch {
	case m.tries > retreeTries:
		r.leaveBehind(m, ErrPanic)
		return
	case len(r.loading[dir]) > 0 && dir.LastTable() == nil:
		m.tries--
		r.loading[dir] = append(r.loading[dir], m)
		return
	case dir.LastTable() == nil && r.core.unlisted.Load() && !dir.State().Orphan && !m.listed: // a panic may have taken its table
		m.tries--
		m.listed = true
		r.await(dir, m)
		return
	case dir.LastTable() == nil || dir.State().Orphan:
		r.core.notifier.Tell(&invalidateInode{Ino: dir.Ino})
		r.laid(m, nil)
		return
	}
	r.retrees[dir] = m
	s := dir.State()
	payload, known := m.Switch.trees[s.Object]
	if !known {
		payload, known = r.core.source.content.Bytes(s.Object)
	}
	switch {
	case !r.core.fromOrigin(s):
		r.lay(m, nil)
	case known && !s.Object.IsZero():
		r.lay(m, payload)
	default: // it was listed after the new trees were gathered
		r.core.dicfuseActor.Tell(&readTree{Dir: dir, ID: s.Object, Pin: s.Pin, Path: dir.OriginPath(), To: &r.self.Owner, For: m})
	}
}

// fromOrigin tells whether the origin has a half of a directory that is not known to be empty.
func (c *core) fromOrigin(s *tree.State) bool {
	if s.Object.IsZero() {
		return s.Below != nil && s.Below.Origin != ""
	}
	return s.Object != object.EmptyTree
}

// retryRetree begins again after a while, some times.
func (r *region) retryRetree(m *retree, err error) {
	if m.failures++; m.late || m.failures >= layTries {
		r.leaveBehind(m, err)
		return
	}
	r.core.log.Warn("a directory cannot be laid out at the new commit yet", slog.String("path", m.Dir.Path()), slog.Any("error", err))
	self := r.self
	m.tries = 0
	time.AfterFunc(layWait<<(m.failures-1), func() { self.Tell(m) })
}

// lay reads what the lower layers show of the directory together, of which the origin has this tree object.
func (r *region) lay(m *retree, payload []byte) {
	fact := &relaid{For: m, Err: ErrPanic}
	tell := func() { r.self.Tell(fact) }
	r.core.work(func() {
		fact.Below, fact.Err = r.core.listLower(m.Dir, payload)
		fact.Names = byName(fact.Below)
		tell()
	}, tell)
}

// relaid has copy-up cut off the lower nodes that the new half does not have, or has otherwise.
func (r *region) relaid(m *relaid) {
	dir := m.For.Dir
	if r.retrees[dir] != m.For {
		return
	}
	if m.Err != nil {
		r.retryRetree(m.For, m.Err)
		return
	}
	t := dir.LastTable()
	if t == nil {
		r.await(dir, m.For)
		return
	}
	cmd := &sever{Pin: m.For.Switch.pin, Laid: m, Back: &r.self.Owner}
	for e := range t.After(0) {
		l := m.Names[e.Name]
		switch cut, rebase := fate(e.Node, l); {
		case cut:
			cmd.Cut = append(cmd.Cut, e.Node)
		case rebase:
			cmd.Rebase = append(cmd.Rebase, rebased{e.Node, l.State})
		}
	}
	r.core.copyUp.Tell(cmd)
}

// fate says what becomes of a node when the lower half has l under its name, or nothing: it loses the name, or goes on with
// that, or stays as it is.
func fate(n *tree.Node, l *layer.Entry) (cut, rebase bool) {
	switch s := n.State(); {
	case s.Where == tree.Upper:
		return false, false
	case s.Orphan || l == nil || l.Type != n.Type: // a panic may have come between its marking and the next table
		return true, false
	case sameLower(s, &l.State):
		return false, false
	default:
		return !n.IsDir(), n.IsDir()
	}
}

func byName(entries []layer.Entry) map[string]*layer.Entry {
	m := make(map[string]*layer.Entry, len(entries))
	for i := range entries {
		m[entries[i].Name] = &entries[i]
	}
	return m
}

// sameLower tells whether a lower node is what the new half has under its name.
func sameLower(s, now *tree.State) bool {
	return s.Object == now.Object && s.Mode == now.Mode && sameBelow(s.Below, now.Below)
}

func sameBelow(a, b *tree.Below) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Redirect == b.Redirect && a.Origin == b.Origin && slices.Equal(a.Halves, b.Halves)
}

// severed publishes the directory's new table.
func (r *region) severed(m *severed) {
	again := m.Laid.For
	dir := again.Dir
	if r.retrees[dir] != again {
		return
	}
	if m.Err != nil {
		r.retryRetree(again, m.Err)
		return
	}
	if dir.LastTable() == nil {
		r.await(dir, again)
		return
	}
	if r.another(m) {
		r.relaid(m.Laid)
		return
	}
	o := overlay{region: r, upperHalf: upperHalf{core: r.core, dir: dir}, now: m.Laid.Names, cut: m.Cut, pin: again.Switch.pin}
	defer o.close()
	t, err := o.table(m.Laid.Below)
	if err != nil {
		r.retryRetree(again, err)
		return
	}
	t.Follows(dir.LastTable())
	dir.SetTable(t)
	for _, name := range o.changed {
		r.core.notifier.Tell(&invalidateEntry{Parent: dir.Ino, Name: name})
	}
	r.core.notifier.Tell(&invalidateInode{Ino: dir.Ino})
	again.Switch.names.Add(int64(len(o.changed)))
	again.Switch.dirs.Add(1)
	for _, n := range o.below {
		again.Switch.retree(n)
	}
	r.laid(again, nil)
}

// another tells whether the directory has a table with nodes that copy-up was not told of: it was read anew, or a node replaced by
// one with another number. They would be kept as they are, of the old commit.
func (r *region) another(m *severed) bool {
	for e := range m.Laid.For.Dir.LastTable().After(0) {
		cut, rebase := fate(e.Node, m.Laid.Names[e.Name])
		if done := m.Cut[e.Node] && e.Node.State().Orphan; rebase || cut && !done {
			return true
		}
	}
	return false
}

// vacated has a directory that lost its name to a switch show nothing, as one that rmdir took away.
func (r *region) vacated(m *vacated) {
	if m.Dir.State().Orphan {
		m.Dir.SetTable(&tree.Table{})
		r.core.notifier.Tell(&invalidateInode{Ino: m.Dir.Ino})
	}
}

// overlay lays a directory's new lower half under what it shows.
type overlay struct {
	*region
	upperHalf
	now map[string]*layer.Entry
	cut map[*tree.Node]bool
	pin *tree.Pin

	changed []string // names that show something else than before
	below   []*tree.Node
}

// table makes the directory's next table.
func (o *overlay) table(lower []layer.Entry) (*tree.Table, error) {
	t := o.dir.LastTable()
	entries := make([]tree.Entry, 0, max(t.Len(), len(lower)))
	shown := make(map[string]bool, t.Len())
	path, twins, depth := o.dir.LowerPath(), make(map[uint64]*tree.Node), depthOf(o.dir)
	for e := range t.After(0) {
		shown[e.Name] = true
		l := o.now[e.Name]
		if s := e.Node.State(); o.cut[e.Node] && s.Orphan {
			o.changed = append(o.changed, e.Name)
			if l == nil {
				continue
			}
			e.Node = o.newNode(path, l, twins, depth)
		} else if err := o.keep(&e, l); err != nil {
			return nil, err
		}
		e.Covers = l != nil
		entries = append(entries, e)
	}
	for i := range lower {
		l := &lower[i]
		if shown[l.Name] {
			continue
		}
		hidden, err := o.find(l.Name)
		if err != nil {
			return nil, err
		}
		if hidden == nil {
			o.changed = append(o.changed, l.Name)
			entries = append(entries, tree.Entry{Name: l.Name, Node: o.newNode(path, l, twins, depth), Covers: true})
		}
	}
	return tree.NewTable(entries)
}

func (o *overlay) newNode(path string, l *layer.Entry, twins map[uint64]*tree.Node, depth int) *tree.Node {
	return o.nodeFor(o.dir, path, &layer.Item{Name: l.Name, Lower: l, IsLower: true, Covers: true}, twins, depth)
}

// keep has a directory that stays under its name go on with the new lower half.
func (o *overlay) keep(e *tree.Entry, l *layer.Entry) error {
	n := e.Node
	if !n.IsDir() {
		return nil
	}
	s := *n.State()
	if s.Where == tree.Lower {
		if s.Pin == o.pin { // copy-up gave it the new half
			o.below = append(o.below, n)
		}
		return nil
	}
	if s.Orphan || s.Below != nil && s.Below.Redirect != "" {
		return nil
	}
	var half tree.State
	if l != nil && l.Type == unix.S_IFDIR {
		half = l.State
		if !s.HasLower() {
			found, err := o.find(e.Name)
			if err != nil {
				return err
			}
			if found == nil || found.Opaque || found.Redirect != "" {
				return nil
			}
		}
	}
	if s.Object == half.Object && sameBelow(s.Below, half.Below) && s.Pin != o.pin {
		return nil
	}
	s.Object, s.Below, s.Pin = half.Object, half.Below, o.pin
	n.SetState(s)
	o.below = append(o.below, n)
	return nil
}

// depthOf returns how many levels below the root a directory is, as far as the split rule asks.
func depthOf(dir *tree.Node) int {
	depth := 0
	for at := dir.Place(); at.Parent != nil && depth < splitDepth; at = at.Parent.Place() {
		depth++
	}
	return depth
}
