package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// ErrNoMatch reports patterns that match nothing of a mount's origin.
var ErrNoMatch = errors.New("nothing matches")

// WarmProgress is how far a Warm has come.
type WarmProgress struct {
	Trees  uint64 // directories that were read
	Files  uint64 // that match, as far as is known
	Done   uint64 // of them, here or given up
	Failed uint64 // of them, and directories that could not be read
	Bytes  uint64 // of the files that are here
	Listed bool   // Files is final: no directory is left to read
}

// Warm brings the origin's files that match one of the patterns into the content store, behind whatever somebody waits for. A
// pattern is a path in the mount, in which * and ? stand for what they do in a shell, ** for any number of directories and
// {a,b} for alternatives; a directory that matches stands for everything below it. Progress is called after each object, from
// this goroutine; it may be nil. What matches is what the mount's commit has: changes are here anyway. What cannot be had is
// counted, and is the error in the end; a pattern that matches nothing is ErrNoMatch.
func (m *Mount) Warm(ctx context.Context, patterns []string, progress func(WarmProgress)) error {
	l := m.live.Load()
	if l == nil {
		return ErrUnmounted
	}
	if m.spec.Origin == nil {
		return fmt.Errorf("%w: warm: the mount has no origin", ErrBadSpec)
	}
	w := &warmer{puller: newPuller(l.core), shown: l.core.pins.shown.Load()}
	for _, text := range patterns {
		p, err := newPattern(text)
		if err != nil {
			return err
		}
		w.patterns = append(w.patterns, p)
	}
	defer w.stop()
	return w.run(ctx, progress)
}

// warmer is one Warm.
type warmer struct {
	*puller
	shown    *pinned
	patterns []*pattern
	todo     []func() // last first, so that what is below one directory comes together
	listing  int      // directories in todo and under way
	progress WarmProgress
	first    error // that an object could not be had for
}

func (w *warmer) run(ctx context.Context, progress func(WarmProgress)) error {
	w.dir("", w.shown.tree, w.matches(""))
	for len(w.todo) > 0 || len(w.out) > 0 {
		if len(w.todo) > 0 && !w.busy() {
			next := w.todo[len(w.todo)-1]
			w.todo = w.todo[:len(w.todo)-1]
			next()
			continue
		}
		if err := w.wait(ctx); err != nil {
			return fmt.Errorf("warm: %w", err)
		}
		if w.progress.Listed = w.listing == 0; progress != nil {
			progress(w.progress)
		}
	}
	if w.first != nil {
		return fmt.Errorf("warm: %d objects could not be fetched: %w", w.progress.Failed, w.first)
	}
	for _, p := range w.patterns {
		if !p.matched {
			return fmt.Errorf("warm: %w: %q", ErrNoMatch, p.text)
		}
	}
	return nil
}

// dir reads a directory and has what matches in it fetched: all of it, or what a pattern says.
func (w *warmer) dir(path string, id object.ID, all bool) {
	w.listing++
	ref := remote.TreeRef{Commit: w.shown.commit.ID, Path: w.core.dicfuse.Path(path), ID: id}
	w.todo = append(w.todo, func() {
		w.ask(&fetch{Want: wantTree, ID: id, Ref: ref}, func(o outcome) {
			w.listing--
			w.progress.Trees++
			entries, err := object.ParseTree(o.Payload)
			if err = errors.Join(o.Err, err); err != nil {
				w.failed(err)
				return
			}
			for _, e := range entries {
				w.entry(strings.TrimPrefix(path+"/"+e.Name, "/"), e, all)
			}
		})
	})
}

func (w *warmer) entry(path string, e object.Entry, all bool) {
	all = w.matches(path) || all
	switch {
	case e.Mode == object.ModeGitlink:
	case e.Mode == object.ModeTree:
		if all || w.below(path) {
			w.dir(path, e.ID, all)
		}
	case all:
		w.progress.Files++
		w.todo = append(w.todo, func() { w.ask(&fetch{Want: wantBlob, ID: e.ID}, w.file) })
	}
}

func (w *warmer) file(o outcome) {
	w.progress.Done++
	if o.Err != nil {
		w.failed(o.Err)
		return
	}
	for _, n := range o.Sizes {
		w.progress.Bytes += uint64(n)
	}
}

func (w *warmer) failed(err error) {
	w.progress.Failed++
	if w.first == nil {
		w.first = err
	}
}

// matches tells whether a pattern matches a path. Each that does is noted.
func (w *warmer) matches(path string) (any bool) {
	for _, p := range w.patterns {
		if p.match(path) {
			p.matched, any = true, true
		}
	}
	return any
}

// below tells whether a pattern may match something below a directory.
func (w *warmer) below(dir string) bool {
	for _, p := range w.patterns {
		if p.below(dir) {
			return true
		}
	}
	return false
}

// pattern is one of Warm's.
type pattern struct {
	text    string   // as given
	clean   string   // without slashes around it; "" is the mount's root
	names   []string // of its path; nil if alternatives may span names
	matched bool
}

func newPattern(text string) (*pattern, error) {
	p := &pattern{text: text, clean: strings.Trim(text, "/")}
	if p.clean = strings.TrimPrefix(p.clean, "./"); p.clean == "." {
		p.clean = ""
	}
	if !doublestar.ValidatePattern(p.clean) {
		return nil, fmt.Errorf("%w: pattern %q", ErrBadSpec, text)
	}
	if !strings.Contains(p.clean, "{") {
		p.names = strings.Split(p.clean, "/")
	}
	return p, nil
}

func (p *pattern) match(path string) bool {
	return p.clean == path || doublestar.MatchUnvalidated(p.clean, path)
}

func (p *pattern) below(dir string) bool {
	if p.names == nil {
		return true
	}
	names := strings.Split(dir, "/")
	for i, name := range p.names {
		switch {
		case name == "**":
			return true
		case i == len(names):
			return true
		case !doublestar.MatchUnvalidated(name, names[i]):
			return false
		}
	}
	return false // what matches a part of the path stands for all of it already
}
