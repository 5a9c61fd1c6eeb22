package actors

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// build makes the node's copy, now or in a worker. If something of it is not here, the loader brings it and build is called
// again.
func (c *copyUp) build(n *tree.Node) {
	if isRegular(n) {
		c.buildRegular(n)
		return
	}
	var target string
	var err error
	if n.Type == unix.S_IFLNK {
		target, err = c.core.dicfuse.Readlink(n, n.State())
	}
	if err == nil {
		err = c.promoteInline(n, target)
	}
	if errors.Is(err, layer.ErrNotLoaded) {
		c.fetch(n)
		return
	}
	c.end(n, err)
}

func (c *copyUp) buildRegular(n *tree.Node) {
	keep, s := c.jobs[n].keep, n.State()
	a, err := c.core.dicfuse.Attr(n, s)
	if errors.Is(err, layer.ErrNotLoaded) && keep > 0 {
		c.fetch(n)
		return
	}
	size := min(a.Size, keep)
	if keep == 0 {
		size = 0
	}
	var src layer.Source
	if size > 0 {
		src, err = c.core.dicfuse.Source(n, s)
		if errors.Is(err, layer.ErrNotLoaded) {
			c.fetch(n)
			return
		}
	}
	orig := c.original(n, a, "")
	fact := &staged{Node: n, Err: ErrPanic}
	tell := func() { c.self.Tell(fact) }
	c.core.work(func() {
		fact.Staged, fact.Err = c.core.stageFile(orig, src, size)
		tell()
	}, tell)
}

// stageFile builds a regular file's copy. src is nil where there is nothing to copy.
func (c *core) stageFile(orig upper.Original, src layer.Source, size int64) (*upper.Staged, error) {
	if src != nil {
		defer func() { _ = src.Close() }()
	}
	st, err := c.upper.Store.Stage(orig)
	if err != nil || src == nil {
		return st, err
	}
	if err := c.upper.Store.Fill(st, src, size); err != nil {
		c.upper.Store.Abandon(st)
		return nil, err
	}
	return st, nil
}

// fetch has the loader bring the node's content.
func (c *copyUp) fetch(n *tree.Node) {
	id := n.State().Object
	c.core.loader(id).Tell(&fetch{
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
	if c.jobs[m.Node] == nil || m.Node.State().Where == tree.Upper {
		if m.Staged != nil { // an earlier incarnation's copy, and another one is in place
			c.core.upper.Store.Abandon(m.Staged)
		}
		c.end(m.Node, nil)
		return
	}
	if m.Err == nil {
		m.Err = c.commit(m.Node, m.Staged)
	}
	c.end(m.Node, m.Err)
}
