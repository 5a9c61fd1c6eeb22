package actors

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// plan says what a worker is to build.
type plan struct {
	node *tree.Node
	orig upper.Original
	src  layer.Source // of a regular file; nil where there is nothing to copy
	size int64
}

// build has a worker make the copies. If something of the content is not here, the loader brings it and build is called again.
func (c *copyUp) build(n *tree.Node) {
	var plans []plan
	for _, at := range chain(n) {
		p, err := c.plan(at)
		if errors.Is(err, layer.ErrNotLoaded) {
			c.fetch(n)
			return
		}
		if err != nil {
			c.end(n, err)
			return
		}
		plans = append(plans, p)
	}
	fact := &staged{Node: n, Err: ErrPanic}
	tell := func() { c.self.Tell(fact) }
	c.core.work(func() {
		fact.Copies, fact.Err = c.core.stageAll(plans)
		tell()
	}, tell)
}

// plan gathers what the copy of a node is made of; ErrNotLoaded if it is not all here.
func (c *copyUp) plan(n *tree.Node) (p plan, err error) {
	c.proveSize(n)
	s, keep, j := n.State(), keepAll, c.jobs[n]
	if j != nil {
		keep = j.keep
	}
	lower := c.core.layerOf(s)
	a, err := lower.Attr(n, s)
	if unknown := errors.Is(err, layer.ErrNotLoaded); err != nil && (!unknown || keep > 0) {
		return p, err
	}
	p = plan{node: n, size: min(a.Size, keep)}
	cuts := n.Type == unix.S_IFREG && (keep < a.Size || err != nil)
	var target string
	switch n.Type {
	case unix.S_IFLNK:
		target, err = lower.Readlink(n, s)
	case unix.S_IFREG:
		if err = nil; keep > 0 && p.size > 0 {
			p.src, err = lower.Source(n, s)
		}
	}
	if err != nil {
		return p, err
	}
	p.orig, err = c.original(n, a, target)
	again := err == nil && cuts && !j.cut() // whoever wanted less has gone
	if p.src != nil && (err != nil || again) {
		_ = p.src.Close()
	}
	if again {
		return c.plan(n)
	}
	return p, err
}

// proveSize takes the size of a file of the origin from its content, if that is here: what an origin announces of a large one
// is believed until then, and may have been wrong. Nothing must be cut off for that.
func (c *copyUp) proveSize(n *tree.Node) {
	s := *n.State()
	if s.Size == tree.UnknownSize || s.Object.IsZero() || n.Type != unix.S_IFREG {
		return
	}
	if size, ok := c.core.source.content.Size(s.Object); ok && size != s.Size {
		s.Size = size
		n.SetState(s)
		c.core.notifier.Tell(&invalidateInode{Ino: n.Ino})
	}
}

// stageAll builds the copies and makes them durable. An error leaves none behind.
func (c *core) stageAll(plans []plan) (copies []copied, err error) {
	store := c.upper.Store
	defer func() {
		if err == nil {
			return
		}
		for _, at := range copies {
			store.Abandon(at.Staged)
		}
		copies = nil
	}()
	if src := plans[len(plans)-1].src; src != nil { // all others are directories
		defer func() { _ = src.Close() }()
	}
	for _, p := range plans {
		st, err := store.Stage(p.orig)
		if err != nil {
			return copies, err
		}
		copies = append(copies, copied{Node: p.node, Staged: st})
		if p.src != nil {
			if err := store.Fill(st, p.src, p.size); err != nil {
				return copies, err
			}
		}
	}
	for _, at := range copies { // after all are built: the first one's sync mostly makes the others durable, too
		if err := store.Seal(at.Staged); err != nil {
			return copies, err
		}
	}
	return copies, nil
}

// fetch has the loader bring the node's content.
func (c *copyUp) fetch(n *tree.Node) {
	id := n.State().Object
	c.core.touch(n, n.State(), tree.Read)
	c.core.loader.Tell(&fetch{
		Source: c.core.source, Want: wantBlob, ID: id,
		Done: func(o outcome) { c.self.Tell(&contentFetched{Node: n, Err: o.Err}) },
	})
}

func (c *copyUp) contentFetched(m *contentFetched) {
	j := c.jobs[m.Node]
	switch {
	case j == nil: // an earlier incarnation's; its messages came again and made their own job, or it is done
	case m.Err != nil:
		c.end(m.Node, m.Err)
	default:
		if j.fetched++; j.fetched > maxFetches {
			c.end(m.Node, fmt.Errorf("%w: %s does not stay in the content store", ErrOrigin, m.Node.Path()))
			return
		}
		c.build(m.Node)
	}
}

// maxFetches is how often a promotion has its content fetched before it gives up: more than once only if the content is
// evicted or found corrupt in between.
const maxFetches = 3

func (c *copyUp) staged(m *staged) {
	if c.jobs[m.Node] == nil || m.Node.State().Where == tree.Upper { // an earlier incarnation's copy, and another one is in place
		c.abandon(m)
		c.end(m.Node, nil)
		return
	}
	if m.Err != nil {
		c.end(m.Node, m.Err)
		return
	}
	defer c.abandon(m)
	for _, n := range chain(m.Node) { // not more than when they were staged, since what is moved is promoted first
		i := slices.IndexFunc(m.Copies, func(at copied) bool { return at.Node == n })
		if i < 0 {
			c.build(m.Node)
			return
		}
		if err := c.commit(n, m.Copies[i].Staged); err != nil {
			c.end(m.Node, err)
			return
		}
	}
	c.end(m.Node, nil)
}

// abandon removes the copies that are not in place: another promotion was faster, or something failed.
func (c *copyUp) abandon(m *staged) {
	for _, at := range m.Copies {
		if s := at.Node.State(); s.Where == tree.Lower || s.UpperIno != at.Staged.File.Ino() {
			c.core.upper.Store.Abandon(at.Staged)
		}
	}
	m.Copies = nil
}
