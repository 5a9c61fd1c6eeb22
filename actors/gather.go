package actors

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/remote"
)

// gatherers is how many directories a switch compares at once; the loader bounds the requests.
const gatherers = 64

// planSwitch resolves what the mount is to show and reads the tree objects that it takes. It runs in a worker.
func (c *core) planSwitch(ctx context.Context, cmd *switchTo, from pinned) (*switching, error) {
	to, err := c.source.quiet().resolve(ctx, cmd.to, from)
	if err != nil {
		return nil, err
	}
	run := &switching{cmd: cmd, to: to, pin: &tree.Pin{Commit: to.commit.ID, Time: unix.NsecToTimespec(time.Now().UnixNano())}, trees: make(map[object.ID][]byte)}
	if to.tree != from.tree {
		err = c.gather(ctx, run)
	}
	return run, err
}

// half is a directory that is listed and has another lower half in the new commit.
type half struct {
	dir     *tree.Node
	id      object.ID
	payload []byte
}

// gather reads the new trees of the directories that differ and are listed, level by level from the root down.
func (c *core) gather(ctx context.Context, run *switching) error {
	for level := []half{{dir: c.root, id: run.to.tree}}; len(level) > 0; {
		group, groupCtx := errgroup.WithContext(ctx)
		group.SetLimit(gatherers)
		for i := range level {
			h := &level[i]
			group.Go(func() (err error) {
				h.payload, err = c.fetchTree(groupCtx, remote.TreeRef{
					Commit: run.to.commit.ID, Path: c.dicfuse.Path(h.dir.OriginPath()), ID: h.id,
				})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		var next []half
		for _, h := range level {
			run.trees[h.id] = h.payload
			below, err := c.differing(ctx, &h)
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
func (c *core) differing(ctx context.Context, h *half) (all []half, err error) {
	entries, err := object.ParseTree(h.payload)
	if err != nil {
		return nil, fmt.Errorf("%w: directory %q: %w", ErrOrigin, h.dir.Path(), err)
	}
	unlisted := c.unlisted.Load()
	t := h.dir.Table()
	if t == nil && unlisted {
		if t, err = (&FS{core: c}).table(Caller{Cancel: ctx.Done()}, h.dir); err != nil {
			return nil, err
		}
	}
	if t == nil {
		return nil, nil
	}
	for _, e := range entries {
		at, ok := t.Lookup(e.Name)
		if ok && e.Mode == object.ModeTree && at.Node.IsDir() && (at.Node.Table() != nil || unlisted) && at.Node.State().Object != e.ID {
			all = append(all, half{dir: at.Node, id: e.ID})
		}
	}
	return all, nil
}

// fetchTree has the loader read a tree object, and waits for it.
func (c *core) fetchTree(ctx context.Context, ref remote.TreeRef) ([]byte, error) {
	got := make(chan outcome, 1)
	m := &fetch{Source: c.source, Want: wantTree, ID: ref.ID, Ref: ref, Done: func(o outcome) { got <- o }}
	c.loader.Tell(m)
	select {
	case o := <-got:
		return o.Payload, o.Err
	case <-ctx.Done():
		c.loader.Tell(&abandon{Waiter: m})
		return nil, ctx.Err()
	}
}
