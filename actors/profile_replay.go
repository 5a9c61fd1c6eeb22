package actors

import (
	"log/slog"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// replay fetches, in a goroutine of its own, what the profile says that the job will use, in that order, and has the profile
// saved from time to time.
func (c *core) replay() {
	if c.profile == nil {
		return
	}
	c.prefetcher.Tell(&saveProfile{})
	if len(c.profile.older) == 0 {
		return
	}
	shown := c.pins.shown.Load()
	r := &replayer{puller: newPuller(c), shown: shown, same: c.profile.root == shown.tree, trees: make(map[string]*replayTree)}
	entries := c.profile.older // immutable
	c.working.Go(func() {
		defer r.stop()
		for _, u := range entries {
			path, ok := r.inMount(u.Path)
			if !ok {
				continue
			}
			r.use(u, path)
			for r.busy() || len(r.line) > 0 {
				if r.wait(c.ctx) != nil {
					return
				}
			}
		}
		for len(r.out) > 0 {
			if r.wait(c.ctx) != nil {
				return
			}
		}
		c.log.Debug("profile is fetched", slog.Int("entries", len(entries)))
	})
}

// replayer fetches what a profile names. What stands at its paths is looked for in the trees of the commit that is shown, unless
// the profile was recorded there.
type replayer struct {
	*puller
	shown *pinned
	same  bool
	trees map[string]*replayTree // by path in the mount
}

// replayTree is a directory of the mount.
type replayTree struct {
	entries map[string]object.Entry
	here    bool
	waiting []func(map[string]object.Entry)
}

// inMount returns a repository's path as one in the mount; false if it is not there.
func (r *replayer) inMount(path string) (string, bool) {
	base := r.core.dicfuse.Path("")
	if base == "" || path == base {
		return strings.TrimPrefix(path, base), true
	}
	return strings.CutPrefix(path, base+"/")
}

func (r *replayer) use(u profileUse, path string) {
	switch {
	case u.Kind == profileTree && r.same:
		r.ask(r.treeAt(path, u.ID), func(outcome) {})
	case u.Kind == profileTree:
		r.tree(path, func(map[string]object.Entry) {})
	case r.same:
		r.file(u.ID, u.Kind)
	default:
		dir, name := splitPath(path)
		r.tree(dir, func(entries map[string]object.Entry) {
			if e, ok := entries[name]; ok && e.Mode != object.ModeTree && e.Mode != object.ModeGitlink {
				r.file(e.ID, u.Kind)
			}
		})
	}
}

func (r *replayer) file(id object.ID, kind profileKind) {
	want := wantBlob
	if kind == profileSized {
		want = wantSmall
	}
	r.ask(&fetch{Want: want, ID: id}, func(outcome) {})
}

func (r *replayer) treeAt(path string, id object.ID) *fetch {
	return &fetch{Want: wantTree, ID: id, Ref: remote.TreeRef{Commit: r.shown.commit.ID, Path: r.core.dicfuse.Path(path), ID: id}}
}

// tree calls then with the entries of a directory when they are here; with none if it is not there.
func (r *replayer) tree(path string, then func(map[string]object.Entry)) {
	t := r.trees[path]
	if t != nil && t.here {
		then(t.entries)
		return
	}
	if t != nil {
		t.waiting = append(t.waiting, then)
		return
	}
	t = &replayTree{waiting: []func(map[string]object.Entry){then}}
	r.trees[path] = t
	if path == "" {
		r.read(t, path, r.shown.tree)
		return
	}
	dir, name := splitPath(path)
	r.tree(dir, func(entries map[string]object.Entry) {
		if e, ok := entries[name]; ok && e.Mode == object.ModeTree {
			r.read(t, path, e.ID)
			return
		}
		t.come(nil)
	})
}

func (r *replayer) read(t *replayTree, path string, id object.ID) {
	r.ask(r.treeAt(path, id), func(o outcome) {
		list, _ := object.ParseTree(o.Payload) // whoever reads it hears what is wrong with it
		entries := make(map[string]object.Entry, len(list))
		for _, e := range list {
			entries[strings.Clone(e.Name)] = e
		}
		t.come(entries)
	})
}

func (t *replayTree) come(entries map[string]object.Entry) {
	t.entries, t.here = entries, true
	for _, then := range t.waiting {
		then(entries)
	}
	t.waiting = nil
}

func splitPath(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}
