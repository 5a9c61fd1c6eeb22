package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// A changelist is applied to the commit's trees, which gives a root that no commit has (package changelist). A mount with one
// shows that root, and setting, changing or clearing it is a switch.

// ErrNoChangelists reports an origin that has none.
var ErrNoChangelists = errors.New("origin has no changelists")

// Changelist names a changelist of the origin. The zero Changelist is none.
type Changelist struct {
	Link string
	Path string // the directory of the repository that its paths are relative to, "" for the root
}

// PathChange is what a changelist does to one path of the repository.
type PathChange = changelist.PathChange

// applied is a changelist on a commit. Immutable.
type applied struct {
	Changelist
	changes []remote.Change // as the origin gave them, so that the commit can move below it
	result  changelist.Result
}

// SetChangelist has the mount show a changelist, in place of the one that it may show. All that it brings is fetched and
// verified before; if that fails, the mount goes on with what it shows. ErrNoChangelists if the origin has none,
// remote.ErrNotFound if it does not know this one. See Switch for the rest.
func (m *Mount) SetChangelist(ctx context.Context, cl Changelist) (Switched, error) {
	if cl.Link == "" {
		return Switched{}, fmt.Errorf("%w: a changelist without a link", ErrBadSpec)
	}
	return m.switchTo(ctx, target{keep: true, changelist: &cl})
}

// ClearChangelist has the mount show the commit alone.
func (m *Mount) ClearChangelist(ctx context.Context) (Switched, error) {
	return m.switchTo(ctx, target{keep: true, changelist: &Changelist{}})
}

// Changelist returns the changelist that the mount shows, and what it changes, by path.
func (m *Mount) Changelist() (Changelist, []PathChange) {
	l := m.live.Load()
	if l == nil {
		return Changelist{}, nil
	}
	if cl := l.core.pins.shown.Load().changelist; cl != nil {
		return cl.Changelist, cl.result.Changed
	}
	return Changelist{}, nil
}

// madeTrees are the tree objects that no origin has: those of the changelists that a mount shows or showed.
type madeTrees struct {
	all atomic.Pointer[map[object.ID][]byte]
}

func (t *madeTrees) get(id object.ID) ([]byte, bool) {
	if t == nil {
		return nil, false
	}
	if all := t.all.Load(); all != nil {
		b, ok := (*all)[id]
		return b, ok
	}
	return nil, false
}

// only lets go of all trees but those of a changelist that is shown; cl may be nil.
func (t *madeTrees) only(cl *applied) {
	if cl == nil {
		t.all.Store(nil)
		return
	}
	t.all.Store(&cl.result.Trees)
}

// add keeps further trees.
func (t *madeTrees) add(trees map[object.ID][]byte) {
	for {
		old := t.all.Load()
		next := make(map[object.ID][]byte, len(trees))
		if old != nil {
			maps.Copy(next, *old)
		}
		maps.Copy(next, trees)
		if t.all.CompareAndSwap(old, &next) {
			return
		}
	}
}

// apply puts a changelist on a commit. known has its changes, or is nil.
func (s *source) apply(ctx context.Context, c remote.Commit, cl Changelist, known *applied) (*applied, error) {
	a := &applied{Changelist: cl}
	if known != nil {
		a.changes = known.changes
	} else {
		lists, ok := s.origin.(remote.Changelists)
		if !ok {
			return nil, fmt.Errorf("%w: %s: changelist %s", ErrNoChangelists, s.origin, cl.Link)
		}
		var err error
		if a.changes, err = lists.Changes(ctx, cl.Link); err != nil {
			return nil, fmt.Errorf("changelist %s: %w", cl.Link, err)
		}
	}
	var err error
	a.result, err = changelist.Apply(ctx, baseTrees{s, c.ID}, c.Tree, a.changes, cl.Path, s.modeOf, s.textOf)
	if err != nil {
		return nil, fmt.Errorf("changelist %s on %s: %w", cl.Link, c.ID, err)
	}
	s.made.add(a.result.Trees)
	return a, nil
}

// baseTrees are a commit's trees, for Apply.
type baseTrees struct {
	source *source
	commit object.ID
}

// Tree implements changelist.Trees.
func (b baseTrees) Tree(ctx context.Context, path string, id object.ID) ([]byte, error) {
	return b.source.tree(ctx, remote.TreeRef{Commit: b.commit, Path: path, ID: id})
}

// modeOf looks into a blob.
func (s *source) modeOf(ctx context.Context, id object.ID) (object.Mode, error) {
	if err := s.blob(ctx, id); err != nil {
		return 0, err
	}
	start := make([]byte, 4)
	n, err := s.content.ReadAt(id, start, 0)
	if err != nil {
		return 0, fmt.Errorf("%w: blob %s: %w", ErrOrigin, id, err)
	}
	return object.ModeByContent(start[:n]), nil
}

// textLimit bounds what is read of a text that describes other files.
const textLimit = 1 << 20

// textOf reads a small blob.
func (s *source) textOf(ctx context.Context, id object.ID) ([]byte, error) {
	if err := s.blob(ctx, id); err != nil {
		return nil, err
	}
	if size, ok := s.content.Size(id); !ok || size > textLimit {
		return nil, fmt.Errorf("%w: blob %s: %d bytes, expected %d at most", ErrOrigin, id, size, textLimit)
	}
	text, ok := s.stored(id)
	if !ok {
		return nil, fmt.Errorf("%w: blob %s cannot be read", ErrOrigin, id)
	}
	return text, nil
}

// broughtAtOnce is how many of a changelist's blobs are fetched at once. They do not pass through the loader, since a mount may
// not be there yet.
const broughtAtOnce = defaultFetches

// bring fetches the blobs of a changelist.
func (s *source) bring(ctx context.Context, cl *applied) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(broughtAtOnce)
	for _, id := range cl.result.Blobs {
		group.Go(func() error { return s.blob(ctx, id) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("changelist %s: %w", cl.Link, err)
	}
	return nil
}

// changelistNote is what the next process must know of a changelist.
type changelistNote struct {
	Changelist
	Changes []remote.Change
	Result  []byte
}

func (a *applied) note() ([]byte, error) {
	if a == nil {
		return nil, nil
	}
	result, err := a.result.Encode()
	if err != nil {
		return nil, err
	}
	return json.Marshal(changelistNote{a.Changelist, a.changes, result})
}

func parseChangelistNote(b []byte) (*applied, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var n changelistNote
	err := json.Unmarshal(b, &n)
	if err != nil {
		return nil, fmt.Errorf("%w: journal: changelist: %w", ErrNotTaken, err)
	}
	a := &applied{Changelist: n.Changelist, changes: n.Changes}
	if a.result, err = changelist.Decode(n.Result); err != nil {
		return nil, fmt.Errorf("%w: journal: changelist: %w", ErrNotTaken, err)
	}
	return a, nil
}
