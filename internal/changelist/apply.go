package changelist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Errors of Apply. Each is wrapped in a text that names the path and, where there is one, the remedy.
var (
	ErrBadChange = errors.New("bad change")                // unsafe paths, unknown actions, missing ids
	ErrConflict  = errors.New("changes contradict")        // each other, or what the base has and they leave
	ErrNotInBase = errors.New("the base has no such file") // to be modified, deleted or renamed
)

// Trees reads the base's tree objects. Its method may be called concurrently.
type Trees interface {
	// Tree returns the payload of the tree id, which stands at path in the base; "" is the root.
	Tree(ctx context.Context, path string, id object.ID) ([]byte, error)
}

// ModeOf tells the mode of a blob that the base says nothing about: from its content (object.ModeByContent), or
// object.ModeGitlink for what is known to be a submodule's commit. remote.ErrNotFound says that the origin has no such blob. It
// may be called concurrently.
type ModeOf func(ctx context.Context, id object.ID) (object.Mode, error)

// TextOf returns the content of a blob that should be small.
type TextOf func(ctx context.Context, id object.ID) ([]byte, error)

// Result is a changelist applied to a base. Immutable.
type Result struct {
	Base    object.ID            // the root that it was applied to
	Root    object.ID            // the root with it
	Trees   map[object.ID][]byte // the payloads of the trees that the base does not have at their paths
	Blobs   []object.ID          // the blobs that it brings, in no order; not those that the base has at the path or old path
	Changed []PathChange         // by path
}

// PathChange is what became of one path of the repository.
type PathChange struct {
	Action  remote.Action
	Path    string
	OldPath string      // of Renamed
	Mode    object.Mode // 0 of Deleted
	ID      object.ID   // zero of Deleted
}

// Apply applies changes, whose paths are relative to the directory at, to the tree root. A change that comes twice counts
// once. An error of base, modeOf or textOf is wrapped.
func Apply(
	ctx context.Context, base Trees, root object.ID, changes []remote.Change, at string, modeOf ModeOf, textOf TextOf,
) (Result, error) {
	r := Result{Base: root, Root: root, Trees: make(map[object.ID][]byte)}
	if len(changes) == 0 {
		return r, nil
	}
	at = strings.Trim(at, "/")
	p, err := newPlan(changes, at)
	if err != nil {
		return Result{}, err
	}
	if err := p.survey(ctx, base, root); err != nil {
		return Result{}, err
	}
	if err := p.settleModes(ctx, modeOf, textOf); err != nil {
		return Result{}, err
	}
	if r.Root, err = p.build(p.root, "", r.Trees); err != nil {
		return Result{}, err
	}
	r.Blobs, r.Changed = p.brings(), p.changed()
	return r, nil
}

// brings returns the blobs of the changes that the base does not have where they come from.
func (p *plan) brings() []object.ID {
	var ids []object.ID
	for _, c := range p.changes {
		if c.Action != remote.Deleted && c.mode != object.ModeGitlink && c.ID != object.EmptyBlob && c.ID != c.was.ID {
			ids = append(ids, c.ID)
		}
	}
	slices.SortFunc(ids, func(a, b object.ID) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

func (p *plan) changed() []PathChange {
	all := make([]PathChange, 0, len(p.changes))
	for _, c := range p.changes {
		at := PathChange{Action: c.Action, Path: p.full(c.Path)}
		if c.Action == remote.Renamed {
			at.OldPath = p.full(c.OldPath)
		}
		if c.Action != remote.Deleted {
			at.Mode, at.ID = c.mode, c.ID
		}
		all = append(all, at)
	}
	slices.SortFunc(all, func(a, b PathChange) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// full returns the path in the repository of a path in the changelist.
func (p *plan) full(path string) string { return join(p.at, path) }

func join(dir, name string) string {
	if dir == "" || name == "" {
		return dir + name
	}
	return dir + "/" + name
}

// notInBase says so, with what mostly is the reason.
func (p *plan) notInBase(path, why string) error {
	at := "the repository's root"
	if p.at != "" {
		at = p.at
	}
	return fmt.Errorf("changelist: %s: %w%s: is it of another commit? or its paths are not relative to %s: name the changelist's directory with --cl-path",
		path, ErrNotInBase, why, at)
}
