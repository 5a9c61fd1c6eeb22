package actors

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/remote"
)

// gatherers is how many directories a switch compares at once; the loader bounds the requests.
const gatherers = 64

// planSwitch resolves what the mount is to show and reads the tree objects that it takes. It runs in a worker.
// redirected are the directories to which no walk from the root comes.
func (c *core) planSwitch(ctx context.Context, cmd *switchTo, from pinned, redirected []*tree.Node) (*switching, error) {
	to, err := c.source.quiet().resolve(ctx, cmd.to, from)
	if err != nil {
		return nil, err
	}
	run := &switching{cmd: cmd, to: to, pin: &tree.Pin{Commit: to.commit.ID, Time: unix.NsecToTimespec(time.Now().UnixNano())}, trees: make(map[object.ID][]byte)}
	if to.tree != from.tree {
		err = c.gather(ctx, run, redirected)
	}
	return run, err
}

// half is a directory that is listed and has another lower half in the new commit.
type half struct {
	dir     *tree.Node
	id      object.ID // zero: the half is found by a path
	payload []byte
	leaving []*tree.Node
}

// gather reads the new trees of the directories that differ and are listed, level by level from the root down, and what upper
// and the local layers must say of them.
func (c *core) gather(ctx context.Context, run *switching, redirected []*tree.Node) error {
	level := []half{{dir: c.root, id: run.to.tree}}
	for _, n := range redirected {
		if n.LastTable() != nil && !n.State().Orphan {
			level = append(level, half{dir: n})
		}
	}
	for len(level) > 0 {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(gatherers)
		for i := range level {
			h := &level[i]
			group.Go(func() (err error) {
				if h.payload, err = c.newHalf(groupCtx, run, h); err != nil {
					return err
				}
				return c.rehearse(groupCtx, run, h)
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		var next []half
		for _, h := range level {
			run.leaving = append(run.leaving, h.leaving...)
			if !h.id.IsZero() {
				run.trees[h.id] = h.payload
			}
			below, err := c.differing(&h)
			if err != nil {
				return err
			}
			next = append(next, below...)
		}
		level = next
	}
	return nil
}

// differing returns the directories in it that differ and are listed.
func (c *core) differing(h *half) (all []half, err error) {
	entries, err := object.ParseTree(h.payload)
	if err != nil {
		return nil, fmt.Errorf("%w: directory %q: %w", ErrOrigin, h.dir.Path(), err)
	}
	unlisted, t := c.unlisted.Load(), h.dir.LastTable()
	if t == nil {
		return nil, nil
	}
	for _, e := range entries {
		at, ok := t.Lookup(e.Name)
		if ok && e.Mode == object.ModeTree && at.Node.IsDir() && (at.Node.LastTable() != nil || unlisted) && at.Node.State().Object != e.ID {
			all = append(all, half{dir: at.Node, id: e.ID})
		}
	}
	return all, nil
}

// newHalf returns the tree object of a directory's new half; nil if the origin has none.
func (c *core) newHalf(ctx context.Context, run *switching, h *half) ([]byte, error) {
	path := h.dir.OriginPath()
	if !h.id.IsZero() {
		return c.await(ctx, &fetch{
			Want: wantTree, ID: h.id, Ref: remote.TreeRef{Commit: run.to.commit.ID, Path: c.dicfuse.Path(path), ID: h.id},
		})
	}
	if b := h.dir.State().Below; b == nil || b.Origin == "" {
		return nil, nil
	}
	return c.await(ctx, &fetch{
		Want: wantPath, ID: run.to.tree, Ref: remote.TreeRef{Commit: run.to.commit.ID, Path: path, ID: run.to.tree}, Base: c.dicfuse.Path(""),
	})
}

// rehearse reads what laying the directory out anew will have to read of upper and the local layers, so that what cannot be
// read is found before anything has changed, and notes which nodes will go.
func (c *core) rehearse(ctx context.Context, run *switching, h *half) error {
	t, err := c.listed(ctx, h.dir)
	if err == nil && t != nil {
		err = c.lookThrough(run, h, t)
	}
	for _, n := range h.leaving {
		if err == nil {
			err = c.listBelow(ctx, n)
		}
	}
	if err != nil {
		return fmt.Errorf("nothing was switched: directory /%s: %w", h.dir.Path(), err)
	}
	return nil
}

// listed returns what a directory shows; nil if nobody can know names in it.
func (c *core) listed(ctx context.Context, dir *tree.Node) (*tree.Table, error) {
	if t := dir.LastTable(); t != nil || !c.unlisted.Load() {
		return t, nil
	}
	return (&FS{core: c}).table(Caller{Cancel: ctx.Done()}, dir)
}

// listBelow lists what the kernel knows of a directory that goes, so that its files are known to go with it.
func (c *core) listBelow(ctx context.Context, n *tree.Node) error {
	if !n.IsDir() || !c.index.Knows(n.Ino) {
		return nil
	}
	t, err := c.listed(ctx, n)
	if err != nil || t == nil {
		return err
	}
	for e := range t.After(0) {
		if err := c.listBelow(ctx, e.Node); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) lookThrough(run *switching, h *half, t *tree.Table) error {
	origin, err := object.ParseTree(h.payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	lower, err := c.local.List(lowerHalf(h.dir), layer.FromOrigin(origin, run.pin))
	if err != nil {
		return err
	}
	now := byName(lower)
	for e := range t.After(0) {
		if cut, _ := fate(e.Node, now[e.Name]); cut {
			h.leaving = append(h.leaving, e.Node)
		}
	}
	u := upperHalf{core: c, dir: h.dir}
	defer u.close()
	for i := range lower {
		if e, shown := t.Lookup(lower[i].Name); shown && !gainsHalf(e.Node, &lower[i]) {
			continue
		}
		if _, err := u.find(lower[i].Name); err != nil {
			return err
		}
	}
	return nil
}

// gainsHalf tells whether a directory that upper alone had may be merged with what its name shows now.
func gainsHalf(n *tree.Node, l *layer.Entry) bool {
	s := n.State()
	return l.Type == unix.S_IFDIR && n.IsDir() && s.Where == tree.Upper && !s.HasLower()
}

// await has the loader read a tree object, and waits for it.
func (c *core) await(ctx context.Context, m *fetch) ([]byte, error) {
	got := make(chan outcome, 1)
	m.Source, m.Done = c.source, func(o outcome) { got <- o }
	c.loader.Tell(m)
	select {
	case o := <-got:
		return o.Payload, o.Err
	case <-ctx.Done():
		c.loader.Tell(&abandon{Waiters: []waiter{m}})
		return nil, ctx.Err()
	}
}
