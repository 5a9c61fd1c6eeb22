package actors

import (
	"bytes"
	"log/slog"
	"math"
	"slices"
	"strings"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// keepAll is the Keep of a promotion that wants the whole content.
const keepAll int64 = math.MaxInt64

// copyUp owns the promotions in flight, and every state that is still in the lower layer.
//
// A promotion goes: the content brought in by the loader if it is not here; copies of the file, and of the directories above
// that upper lacks, built in the work directory and made durable by a worker; then, here, topmost first, their renames into
// place and their new states. A failure or a crash at any point leaves the lower file visible and something in the work
// directory.
type copyUp struct {
	core *core
	self *handle
	jobs map[*tree.Node]*job
}

// job is one inode's promotion. Those that ask while it runs wait for it.
type job struct {
	keep    int64 // bytes of content to bring along
	fetched int   // how often the loader brought the content
	waiting []any // promote, detach and sever messages, in the order of arrival
}

// cut begins the truncation that a promotion with less than the whole content is: the request that it was for. If its
// caller has gone, the promotion brings all.
func (j *job) cut() bool {
	if m, ok := j.waiting[0].(*promote); ok && m.Keep == j.keep && m.call().begin() {
		return true
	}
	j.keep = keepAll
	return false
}

func newCopyUp(c *core, self *handle) *copyUp {
	return &copyUp{core: c, self: self, jobs: make(map[*tree.Node]*job)}
}

func (c *copyUp) receive(msg any) {
	switch m := msg.(type) {
	case *promote:
		c.promote(m)
	case *detach:
		c.detach(m)
	case *reattach:
		c.reattach(m)
	case *relink:
		c.relink(m)
	case *sever:
		c.sever(m)
	case *learnSizes:
		for i, n := range m.Nodes {
			if s := *n.State(); s.Where == tree.Lower && m.Sizes[i] >= 0 {
				s.Size = m.Sizes[i]
				n.SetState(s)
			}
		}
	case *contentFetched:
		c.contentFetched(m)
	case *staged:
		c.staged(m)
	}
}

func (c *copyUp) failed(msg any) {
	switch m := msg.(type) {
	case *detach:
		// The removal does not begin any more. If it has been done all the same, the name is gone; else the node has it still,
		// and what is written to it must go there.
		m.call().finish(ErrPanic)
		if named(m.Node) {
			c.setOrphan(m.Node, false)
		}
	case *reattach:
		c.reattach(m)
	case *sever:
		m.Back.Tell(&severed{Laid: m.Laid, Err: ErrPanic})
	case *contentFetched:
		c.end(m.Node, ErrPanic)
	case *staged:
		c.abandon(m)
		c.end(m.Node, ErrPanic)
	}
}

func (c *copyUp) parked() []any {
	var all []any
	for _, j := range c.jobs {
		all = append(all, j.waiting...)
	}
	return all
}

func (c *copyUp) promote(m *promote) {
	if m.Node.State().Where == tree.Upper || c.jobs[m.Node] == nil && c.adoptIndexed(m.Node) {
		c.done(m, nil)
		return
	}
	if j := c.jobs[m.Node]; j != nil {
		// A truncation may have started the job and keep less than m needs. The truncation was first, in the caller's order as
		// much as any other: what it cut off is gone.
		j.waiting = append(j.waiting, m)
		return
	}
	c.jobs[m.Node] = &job{keep: m.Keep, waiting: []any{m}}
	c.build(m.Node)
}

func (c *copyUp) detach(m *detach) {
	if j := c.jobs[m.Node]; j != nil {
		j.waiting = append(j.waiting, m)
		return
	}
	if m.Node.State().Where == tree.Lower {
		c.setOrphan(m.Node, true)
	}
	m.Back.Tell(m.Msg)
}

// setOrphan publishes that a lower node has lost its name, or has it after all.
func (c *copyUp) setOrphan(n *tree.Node, orphan bool) {
	s := *n.State()
	if s.Where != tree.Lower {
		return
	}
	s.Orphan = orphan
	n.SetState(s)
	if orphan {
		c.core.journal.Orphaned(n)
	} else {
		c.core.journal.Moved(n)
	}
}

// reattach gives a node its name back. If it was promoted meanwhile, its copy is in the work directory, and the name's region
// has to move it.
func (c *copyUp) reattach(m *reattach) {
	if s := m.Node.State(); s.Where == tree.Upper && s.Orphan {
		m.Parent.Owner.Tell((*restore)(m))
		return
	}
	c.setOrphan(m.Node, false)
	c.core.notifier.Tell(&invalidateInode{Ino: m.Node.Ino}) // others may have been told the link count 0
	m.call().finish(m.Err)                                  // not before: the kernel would keep the link count
}

// named tells whether the directory in which a node stands shows it.
func named(n *tree.Node) bool {
	at := n.Place()
	t := at.Parent.Table()
	if t == nil {
		return false
	}
	e, ok := t.Lookup(at.Name)
	return ok && e.Node.Ino == n.Ino
}

// chain returns the nodes that a promotion of n brings into upper, topmost first: the directories above that are not there
// yet, and n itself. An orphan needs no directories.
func chain(n *tree.Node) []*tree.Node {
	nodes := []*tree.Node{n}
	if !n.State().Orphan {
		for p := n.Place().Parent; p.State().Where == tree.Lower; p = p.Place().Parent {
			nodes = append(nodes, p)
		}
	}
	slices.Reverse(nodes)
	return nodes
}

// original describes the node as the lower layer has it, unmapped.
func (c *copyUp) original(n *tree.Node, a tree.Attr, target string) (upper.Original, error) {
	o := upper.Original{
		Birth: upper.Birth{Mode: a.Mode, Rdev: a.Rdev, Target: target, UID: a.UID, GID: a.GID},
		Atime: a.Atime, Mtime: a.Mtime, Mark: tree.EncodeIno(n.Ino),
	}
	s := n.State()
	lower := c.core.layerOf(s)
	names, err := lower.Xattrs(n, s)
	if err != nil || len(names) == 0 {
		return o, err
	}
	value := make([]byte, xattrSizeMax)
	for _, name := range strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		size, err := lower.Xattr(n, s, name, value)
		if err != nil {
			return o, err
		}
		o.Xattrs = append(o.Xattrs, upper.Xattr{Name: name, Value: bytes.Clone(value[:size])})
	}
	return o, nil
}

// xattrSizeMax is Linux's limit on an extended attribute's value, in bytes (XATTR_SIZE_MAX).
const xattrSizeMax = 64 << 10

// commit puts the copy in place and publishes the node's new state. If it fails nothing has changed.
func (c *copyUp) commit(n *tree.Node, st *upper.Staged) error {
	s := *n.State()
	if c.adoptIndexed(n) { // another name was faster; the copy is abandoned with those that nobody needs
		return nil
	}
	if err := c.commitOnDisk(n, s.Orphan, st); err != nil {
		return err
	}
	next := tree.State{Where: tree.Upper, Orphan: s.Orphan, UpperIno: st.File.Ino(), Indexed: n.Links() > 0}
	if n.IsDir() {
		next.Object, next.Pin, next.Below = s.Object, s.Pin, s.Below
	}
	n.SetState(next)
	c.core.upper.Cache(n, st.File)
	st.File.Release()
	return nil
}

func (c *copyUp) commitOnDisk(n *tree.Node, orphan bool, st *upper.Staged) error {
	if orphan {
		return c.core.upper.Store.CommitOrphan(st, n.Ino)
	}
	at := n.Place()
	dir, err := c.core.upper.Open(at.Parent)
	if err != nil {
		return err
	}
	defer dir.Release()
	if links := n.Links(); links > 0 {
		if err := c.core.upper.Store.Index(st, n.Ino, links); err != nil {
			return err
		}
	}
	if err := c.core.upper.Store.Commit(st, dir, at.Name); err != nil {
		if n.Links() > 0 {
			c.core.upper.Store.Unindex(n.Ino)
		}
		return err
	}
	return nil
}

// adoptIndexed has a node, one name of several that a file has in a local lower layer, show what the file was copied up to by
// another name, if it was. Nodes of other names may have changed the number of links meanwhile.
func (c *copyUp) adoptIndexed(n *tree.Node) bool {
	if n.Links() == 0 {
		return false
	}
	at, links, ok := c.core.upper.Store.Indexed(n.Ino)
	if ok {
		n.SetLinks(links)
		n.SetState(tree.State{Where: tree.Upper, UpperIno: at, Indexed: true})
	}
	return ok
}

// relink looks whether a node that is new to the kernel is in the index by now.
func (c *copyUp) relink(m *relink) {
	if c.jobs[m.Node] == nil {
		c.adoptIndexed(m.Node)
	}
	m.finish(nil)
}

// end finishes a promotion: those who waited get their message back, or the error.
func (c *copyUp) end(n *tree.Node, err error) {
	j := c.jobs[n]
	if j == nil {
		return
	}
	delete(c.jobs, n)
	if err != nil {
		c.core.log.Warn("copy-up failed", slog.String("path", n.Path()), slog.Any("error", err))
	}
	for _, w := range j.waiting {
		switch m := w.(type) {
		case *promote:
			c.done(m, err)
		case *detach, *sever:
			c.self.Tell(m) // whether the promotion came about or not, it looks again
		}
	}
}

// done answers one promote.
func (c *copyUp) done(m *promote, err error) {
	if err != nil || m.Back == nil {
		m.call().finish(err)
		return
	}
	m.Back.Tell(m.Msg)
}
