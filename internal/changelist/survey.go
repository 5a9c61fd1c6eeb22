package changelist

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// atOnce bounds the requests for trees, and for contents, that one changelist has in flight.
const atOnce = 16

// place is a directory of the base that has to be read.
type place struct {
	n    *name
	path string
}

// survey reads what the base has at the names of the plan, one depth after the other: all trees of one depth are known
// when those above are.
func (p *plan) survey(ctx context.Context, base Trees, root object.ID) error {
	p.root.was = object.Entry{Mode: object.ModeTree, ID: root}
	for level := []place{{n: p.root}}; len(level) > 0; {
		if err := read(ctx, base, level); err != nil {
			return err
		}
		var next []place
		for _, dir := range level {
			next = append(next, dir.meet()...)
		}
		level = next
	}
	if n := p.find(""); n.was.Mode != object.ModeTree {
		return fmt.Errorf("changelist: %s: %w: it is no directory: give the path of the changelist's directory as --cl-path", p.at, ErrNotInBase)
	}
	for _, c := range p.changes {
		if err := p.settle(c); err != nil {
			return err
		}
	}
	return nil
}

// read reads the directories' entries.
func read(ctx context.Context, base Trees, dirs []place) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, dir := range dirs {
		if dir.n.was.ID == object.EmptyTree {
			continue
		}
		g.Go(func() error {
			payload, err := base.Tree(ctx, dir.path, dir.n.was.ID)
			if err == nil {
				dir.n.base, err = object.ParseTree(payload)
			}
			if err != nil {
				return fmt.Errorf("changelist: directory %q of the base: %w", dir.path, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// meet tells the names below a directory what the base has there, and returns those that have to be read in turn.
func (dir place) meet() (next []place) {
	for _, e := range dir.n.base {
		n := dir.n.below[e.Name]
		if n == nil {
			continue
		}
		n.was = e
		if e.Mode == object.ModeTree && len(n.below) > 0 {
			next = append(next, place{n: n, path: join(dir.path, e.Name)})
		}
	}
	return next
}

// find returns the name at a path of the changelist, which has been added.
func (p *plan) find(path string) *name {
	if full := p.full(path); full == "" {
		return p.root
	}
	return p.name(path)
}

// settle finds the file of the base of which a change makes a new version.
func (p *plan) settle(c *change) error {
	from := c.Path
	if c.Action == remote.Renamed {
		from = c.OldPath
	}
	was := p.find(from).was
	switch {
	case was.Mode == object.ModeTree && c.Action != remote.New:
		return p.notInBase(p.full(from), ", but a directory")
	case was.Mode == 0 && c.Action != remote.New:
		return p.notInBase(p.full(from), "")
	case was.Mode != object.ModeTree:
		c.was = was
	}
	c.mode = c.was.Mode
	return nil
}

// settleModes finds the modes of the files that the base does not have.
func (p *plan) settleModes(ctx context.Context, modeOf ModeOf, textOf TextOf) error {
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, c := range p.changes {
		switch {
		case c.mode != 0 || c.Action == remote.Deleted:
		case c.ID == object.EmptyBlob:
			c.mode = object.ModeFile
		default:
			g.Go(func() (err error) {
				c.mode, err = modeOf(groupCtx, c.ID)
				if err == nil && (c.mode == 0 || c.mode == object.ModeTree) {
					err = fmt.Errorf("mode %o is none of a file", c.mode)
				}
				if err != nil {
					err = fmt.Errorf("changelist: %s: content %s: %w", p.full(c.Path), c.ID, err)
				}
				if errors.Is(err, remote.ErrNotFound) || errors.Is(err, remote.ErrOffline) {
					c.lost, err = err, nil
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return p.settleSubmodules(ctx, textOf)
}
