package changelist

import (
	"fmt"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// plan is a changelist on its way to a Result: first what it says, as a tree of names, then what the base has there.
type plan struct {
	at      string
	root    *name
	changes []*change
}

// change is a change with what the base says about its file.
type change struct {
	remote.Change
	mode object.Mode  // what the file will have
	was  object.Entry // the base's file that it is a new version of; Mode 0: there is none
	lost error        // that the origin has no such blob, or is not asked
}

// name is a path that the changelist speaks of, or a directory above one.
type name struct {
	below   map[string]*name
	puts    *change // what will stand here
	removes bool    // what the base has here goes, deleted or renamed

	was  object.Entry   // what the base has here; Mode 0: nothing
	base []object.Entry // the entries of was, where it is a directory and something below is spoken of
}

func newPlan(changes []remote.Change, at string) (*plan, error) {
	p := &plan{at: at, root: &name{}}
	if at != "" {
		if err := checkPath(at); err != nil {
			return nil, fmt.Errorf("changelist: the path of the changelist (--cl-path): %w", err)
		}
	}
	seen := make(map[string]remote.Change, len(changes))
	for _, c := range changes {
		if err := check(c); err != nil {
			return nil, err
		}
		before, twice := seen[c.Path]
		switch seen[c.Path] = c; {
		case !twice:
			p.add(c)
		case before != c:
			return nil, fmt.Errorf("changelist: %s: %w: it is both %s and %s", p.full(c.Path), ErrConflict, before.Action, c.Action)
		}
	}
	return p, nil
}

func (p *plan) add(c remote.Change) {
	at := &change{Change: c}
	p.changes = append(p.changes, at)
	n := p.name(c.Path)
	if c.Action == remote.Deleted {
		n.removes = true
		return
	}
	n.puts = at
	if c.Action == remote.Renamed {
		p.name(c.OldPath).removes = true
	}
}

// name returns the name at a path of the changelist, made if it is new.
func (p *plan) name(path string) *name {
	n := p.root
	for part := range strings.SplitSeq(p.full(path), "/") {
		next := n.below[part]
		if next == nil {
			if n.below == nil {
				n.below = make(map[string]*name)
			}
			next = &name{}
			n.below[part] = next
		}
		n = next
	}
	return n
}

// check refuses what could not be meant.
func check(c remote.Change) error {
	if err := checkPath(c.Path); err != nil {
		return fmt.Errorf("changelist: %w", err)
	}
	switch c.Action {
	case remote.Deleted:
		return nil
	case remote.Renamed:
		if err := checkPath(c.OldPath); err != nil {
			return fmt.Errorf("changelist: old path of %q: %w", c.Path, err)
		}
	case remote.New, remote.Modified:
	default:
		return fmt.Errorf("changelist: %q: %w: unknown action %q", c.Path, ErrBadChange, c.Action)
	}
	if c.ID.IsZero() {
		return fmt.Errorf("changelist: %q: %w: it has no content id", c.Path, ErrBadChange)
	}
	for part := range strings.SplitSeq(c.Path, "/") {
		if strings.EqualFold(part, ".git") {
			return fmt.Errorf("changelist: %q: %w: git does not track .git", c.Path, ErrBadChange)
		}
	}
	return nil
}

func checkPath(path string) error {
	for part := range strings.SplitSeq(path, "/") {
		if err := object.CheckName(part); err != nil {
			return fmt.Errorf("%q: %w: not a path below a directory", path, ErrBadChange)
		}
	}
	return nil
}
