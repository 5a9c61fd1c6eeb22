package actors

import (
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// vacant tells whether a new name may be made in parent; if not yet, msg comes back, and if never, it was answered.
func (r *region) vacant(msg request, parent *tree.Node, name string) bool {
	if !r.loaded(msg, parent) {
		return false
	}
	if parent.State().Orphan {
		msg.call().finish(errno("create "+name, unix.ENOENT)) // a removed directory that is somebody's working directory
		return false
	}
	if _, taken := parent.Table().Lookup(name); taken {
		msg.call().finish(errno("create "+name, unix.EEXIST))
		return false
	}
	return r.promoted(msg, parent)
}

func (r *region) create(m *create) {
	to := tree.Spot{Parent: m.Parent.Ino, Name: m.Name}
	if r.madeBefore(m, m.Parent, to, r.completed) || !r.vacant(m, m.Parent, m.Name) || !r.begin(m, tree.Intent{To: to}) {
		return
	}
	dir, err := r.core.upper.Open(m.Parent)
	if err != nil {
		m.finish(err)
		return
	}
	defer dir.Release()
	f, covered, err := r.core.upper.Store.Create(dir, m.Name, m.Birth)
	if err != nil {
		m.finish(err)
		return
	}
	defer f.Release()
	n := r.adoptNew(m.Parent, m.Name, f)
	if err := r.show(m.Parent, tree.Entry{Name: m.Name, Node: n, Covers: covered}); err != nil {
		_ = r.core.upper.Store.Orphan(dir, m.Name, n.Ino, covered)
		r.core.upperActor.Tell(&reap{Ino: n.Ino, Type: n.Type})
		m.finish(err)
		return
	}
	m.node, m.attr = n, tree.AttrFromStat(n.Ino, f.Born())
	m.finish(nil)
}

// adoptNew makes the node of a file that was just made in upper.
func (r *region) adoptNew(parent *tree.Node, name string, f *upper.File) *tree.Node {
	st := f.Born()
	owner := &r.self.Owner
	if tree.IsDir(st.Mode) {
		owner = r.ownerFor(splitDepth)
	}
	n := tree.NewNode(r.core.freeIno(tree.UpperIno(st.Ino)), owner, st.Mode,
		tree.Place{Parent: parent, Name: name}, tree.State{Where: tree.Upper, UpperIno: st.Ino})
	if n.IsDir() {
		n.SetTable(&tree.Table{}) // new, and opaque where a name below was covered
	}
	r.core.upper.Cache(n, f)
	return n
}

// show publishes an entry in a directory of this region.
func (r *region) show(dir *tree.Node, e tree.Entry) error {
	t, err := dir.Table().With(e)
	if err != nil {
		return err
	}
	dir.SetTable(t)
	return nil
}

func (r *region) createTemp(m *createTemp) {
	if m.Parent.State().Orphan {
		m.finish(errno("create temporary file", unix.ENOENT))
		return
	}
	if !r.promoted(m, m.Parent) || !m.begin() {
		return
	}
	staged, err := r.stageTemp(m)
	if err != nil {
		m.finish(err)
		return
	}
	n := r.adoptNew(m.Parent, "", staged.File)
	if err := r.core.upper.Store.CommitOrphan(staged, n.Ino); err != nil {
		r.core.upper.Drop(n)
		r.core.upper.Store.Abandon(staged)
		m.finish(err)
		return
	}
	defer staged.File.Release()
	n.SetState(tree.State{Where: tree.Upper, UpperIno: staged.File.Ino(), Orphan: true})
	m.node = n
	m.attr, err = r.core.upper.Attr(n, n.State())
	m.finish(err)
}

// stageTemp makes the file. It belongs to the directory in which it has no name, and inherits from it.
func (r *region) stageTemp(m *createTemp) (*upper.Staged, error) {
	dir, err := r.core.upper.Open(m.Parent)
	if err != nil {
		return nil, err
	}
	birth, err := r.core.upper.Store.Inherit(dir, m.Birth)
	dir.Release()
	if err != nil {
		return nil, err
	}
	return r.core.upper.Store.Stage(upper.Original{Birth: birth})
}

func (r *region) link(m *link) {
	to := tree.Spot{Parent: m.Parent.Ino, Name: m.Name}
	if r.madeBefore(m, m.Parent, to, r.completed) || !r.vacant(m, m.Parent, m.Name) || !r.promoted(m, m.Node) ||
		!r.begin(m, tree.Intent{Ino: m.Node.Ino, To: to}) {
		return
	}
	m.finish(r.linkNow(m))
}

func (r *region) linkNow(m *link) error {
	f, err := r.core.upper.Open(m.Node)
	if err != nil {
		return err
	}
	defer f.Release()
	dir, err := r.core.upper.Open(m.Parent)
	if err != nil {
		return err
	}
	defer dir.Release()
	covered, err := r.core.upper.Store.Link(f, dir, m.Name)
	if err != nil {
		return err
	}
	if err := r.show(m.Parent, tree.Entry{Name: m.Name, Node: m.Node, Covers: covered}); err != nil {
		_ = r.core.upper.Store.Unlink(dir, m.Name, covered)
		return err
	}
	if m.Node.State().Orphan { // a file made by O_TMPFILE gets its first name
		r.seat(m.Node, m.Parent, m.Name)
		r.complain(m.Node, r.core.upper.Store.Reap(m.Node.Ino, m.Node.Type)) // it has its name already
	}
	r.gainName(m.Node)
	m.node = m.Node
	m.attr, err = r.core.upper.Attr(m.Node, m.Node.State())
	return err
}
