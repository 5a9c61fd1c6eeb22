package layer

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// Entry is what the lower layers show together under one name.
type Entry struct {
	Name  string
	State tree.State
	Type  uint32 // S_IFMT bits
	// Of a file with several names in its local layer: the number that all of them have, and how many there are. Else 0.
	LinkIno uint64
	Links   uint32
}

// FromOrigin returns the entries of the origin's half of a directory, of which a commit has this tree object.
func FromOrigin(entries []object.Entry, pin *tree.Pin) []Entry {
	all := make([]Entry, len(entries))
	for i, e := range entries {
		s := LowerState(e)
		s.Pin = pin
		all[i] = Entry{Name: e.Name, State: s, Type: s.Mode & unix.S_IFMT}
	}
	return all
}

// Parent is a directory whose entries are wanted, as far as the lower layers have it.
type Parent struct {
	Path      string      // among what they show together
	Halves    []tree.Half // in local layers, topmost first
	Origin    string      // path in the origin
	HasOrigin bool        // the origin has a half of it
}

// List lays the local halves of a directory over what the origin shows of it.
func (l *Local) List(p Parent, origin []Entry) ([]Entry, error) {
	shown, halves := origin, p.Halves
	for i := len(halves) - 1; i >= 0; i-- {
		found, err := l.dirs[halves[i].Layer].Scan(halves[i].Path)
		if err != nil {
			return nil, err
		}
		p.Halves = halves[i:]
		if shown, err = l.lay(p, found, shown); err != nil {
			return nil, err
		}
	}
	return shown, nil
}

// lay puts what was found in the first of the parent's halves over what those below it show.
func (l *Local) lay(p Parent, found []upper.Found, below []Entry) ([]Entry, error) {
	index := make(map[string]int, len(below))
	for i := range below {
		index[below[i].Name] = i
	}
	all := make([]Entry, 0, len(below)+len(found))
	hidden := make(map[string]bool, len(found))
	for i := range found {
		f := &found[i]
		hidden[f.Name] = true
		if f.Whiteout {
			continue
		}
		var under *Entry
		if j, ok := index[f.Name]; ok {
			under = &below[j]
		}
		e, err := l.entry(p, f, under)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	for i := range below {
		if !hidden[below[i].Name] {
			all = append(all, below[i])
		}
	}
	return all, nil
}

// entry makes the entry of what was found in the first of the halves; under is what those below show under its name, or nil.
func (l *Local) entry(p Parent, f *upper.Found, under *Entry) (Entry, error) {
	at := tree.Half{Layer: p.Halves[0].Layer, Path: join(p.Halves[0].Path, f.Name)}
	e := Entry{Name: f.Name, Type: f.Type, State: tree.State{Mode: f.Stat.Mode, Below: &tree.Below{Halves: []tree.Half{at}}}}
	switch {
	case f.Type != unix.S_IFDIR:
		if f.Stat.Nlink > 1 {
			e.Links = uint32(f.Stat.Nlink)
			dev := f.Stat.Dev
			if dev == l.dirs[at.Layer].Dev() {
				dev = 0 // the usual one, whose number changes at each boot
			}
			e.LinkIno = tree.LinkIno(at.Layer, dev, f.Stat.Ino)
		}
	case f.Opaque:
	case f.Redirect != "":
		b, err := l.follow(p, at.Layer+1, f.Redirect)
		if err != nil {
			return e, err
		}
		e.State.Below.Halves = append(e.State.Below.Halves, b.Halves...)
		e.State.Below.Origin = b.Origin
	case under != nil && under.Type == unix.S_IFDIR:
		e.State.Object, e.State.Pin = under.State.Object, under.State.Pin
		if b := under.State.Below; b != nil {
			e.State.Below.Halves = append(e.State.Below.Halves, b.Halves...)
			e.State.Below.Origin = b.Origin
		}
	}
	return e, nil
}

// Redirect resolves the redirect of a directory of upper that stands in p: where its own lower halves are.
func (l *Local) Redirect(p Parent, to string) (*tree.Below, error) {
	b, err := l.follow(p, 0, to)
	if err != nil {
		return nil, err
	}
	if b.Redirect = strings.TrimPrefix(to, "/"); b.Redirect == to { // a name in the same parent
		b.Redirect = join(p.Path, to)
	}
	return b, nil
}

// follow finds the directory that a redirect leads to in the local layers from the given one down. "/a/b" is a path from
// their roots; a name without a slash stands in the same parent.
func (l *Local) follow(p Parent, from int, to string) (*tree.Below, error) {
	w := walk{path: strings.TrimPrefix(to, "/"), below: &tree.Below{}}
	relative := w.path == to
	if !wellFormed(to) {
		return w.below, nil // leads nowhere
	}
	for i := from; i < len(l.dirs) && !w.ended; i++ {
		base := ""
		if relative && !w.absolute {
			j := slices.IndexFunc(p.Halves, func(h tree.Half) bool { return h.Layer == i })
			if j < 0 {
				continue
			}
			base = p.Halves[j].Path
		}
		if err := w.enter(l, i, base); err != nil {
			return nil, err
		}
	}
	switch {
	case w.ended || !l.origin:
	case !relative || w.absolute:
		w.below.Origin = w.path
	case p.HasOrigin:
		w.below.Origin = join(p.Origin, w.path)
	}
	return w.below, nil
}

// wellFormed tells whether a redirect is one that overlayfs writes: "/a/b", or one name.
func wellFormed(to string) bool {
	path := strings.TrimPrefix(to, "/")
	names := strings.Split(path, "/")
	return (path != to || len(names) == 1) && !slices.ContainsFunc(names, func(name string) bool {
		return object.CheckName(name) != nil
	})
}

// walk looks one path up in layer after layer. Redirects on the way change the path for the layers below.
type walk struct {
	path     string
	absolute bool // a redirect on the way led to a path from the roots
	ended    bool // nothing below shows
	below    *tree.Below
}

func (w *walk) enter(l *Local, layer int, base string) error {
	names := strings.Split(w.path, "/")
	at, next := base, w.path
	for i, name := range names {
		found, err := l.find(layer, at, name)
		if err != nil {
			return err
		}
		if found == nil {
			break // the layer does not have it
		}
		at = join(at, name)
		if found.Whiteout || found.Type != unix.S_IFDIR {
			w.ended = true
			break
		}
		if i == len(names)-1 {
			w.below.Halves = append(w.below.Halves, tree.Half{Layer: layer, Path: at})
		}
		if found.Opaque || found.Redirect != "" && !wellFormed(found.Redirect) {
			w.ended = true
			continue
		}
		if to := found.Redirect; to != "" {
			rest := strings.Join(names[i+1:], "/")
			if path := strings.TrimPrefix(to, "/"); path != to {
				next, w.absolute = join(path, rest), true
			} else {
				next = join(join(strings.Join(names[:i], "/"), to), rest)
			}
			next = strings.TrimSuffix(next, "/")
		}
	}
	w.path = next
	return nil
}

// find returns what a layer has under dir/name, nil if nothing.
func (l *Local) find(layer int, dir, name string) (*upper.Found, error) {
	f, err := l.dirs[layer].Find(dir, name)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	return f, err
}

func join(dir, name string) string {
	if dir == "" || name == "" {
		return dir + name
	}
	return dir + "/" + name
}
