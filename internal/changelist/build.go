package changelist

import (
	"fmt"
	"maps"
	"slices"

	"github.com/antares-actor/antares-actor/internal/object"
)

// build returns the id of the directory at a name with everything below changed, object.EmptyTree if nothing is left. The
// trees that it makes are added to made. A directory in which nothing changed keeps its id.
func (p *plan) build(n *name, path string, made map[object.ID][]byte) (object.ID, error) {
	id := object.EmptyTree
	if n.was.Mode == object.ModeTree {
		id = n.was.ID
	}
	fresh := make(map[string]object.Entry) // what differs from the base; Mode 0: nothing stands there any more
	for _, part := range slices.Sorted(maps.Keys(n.below)) {
		child := n.below[part]
		now, err := p.entry(child, join(path, part), made)
		if err != nil {
			return object.ID{}, err
		}
		if now.Mode != child.was.Mode || now.ID != child.was.ID {
			now.Name = part
			fresh[part] = now
		}
	}
	if len(fresh) == 0 {
		return id, nil
	}
	entries := slices.DeleteFunc(slices.Clone(n.base), func(e object.Entry) bool {
		_, differs := fresh[e.Name]
		return differs
	})
	for _, e := range fresh {
		if e.Mode != 0 {
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return object.EmptyTree, nil
	}
	object.SortEntries(entries)
	payload := object.AppendTree(nil, entries)
	id = object.Sum(object.Tree, payload)
	made[id] = payload
	return id, nil
}

// entry returns what will stand at a name; Mode 0 is nothing.
func (p *plan) entry(n *name, path string, made map[object.ID][]byte) (object.Entry, error) {
	dir, err := p.build(n, path, made)
	if err != nil {
		return object.Entry{}, err
	}
	isFile := n.was.Mode != 0 && n.was.Mode != object.ModeTree
	switch {
	case n.puts != nil && dir != object.EmptyTree && n.was.Mode == object.ModeTree:
		return object.Entry{}, fmt.Errorf("changelist: %s: %w: it will be a file, and stays a directory that is not empty", path, ErrConflict)
	case n.puts != nil && dir != object.EmptyTree:
		return object.Entry{}, fmt.Errorf("changelist: %s: %w: it will be a file, and files will be below it", path, ErrConflict)
	case n.puts != nil:
		return object.Entry{Mode: n.puts.mode, ID: n.puts.ID}, nil
	case dir != object.EmptyTree && isFile && !n.removes:
		return object.Entry{}, fmt.Errorf("changelist: %s: %w: files will be below it, and it stays a file", path, ErrConflict)
	case dir != object.EmptyTree:
		return object.Entry{Mode: object.ModeTree, ID: dir}, nil
	case isFile && !n.removes: // nothing is below: the changes there have been refused
		return n.was, nil
	default:
		return object.Entry{}, nil
	}
}
