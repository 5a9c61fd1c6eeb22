package layer

import (
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// Item is one name that a merged directory shows.
type Item struct {
	Name    string
	Upper   *upper.Found  // nil if only the origin has it
	Lower   *object.Entry // nil if only upper has it, or if upper's hides it
	Covers  bool          // the origin has the name, whatever shows
	IsLower bool          // shows the origin's inode, untouched
}

// Merged tells whether the item is a directory that shows both layers' entries.
func (i *Item) Merged() bool { return i.Upper != nil && i.Lower != nil }

// Merge lays a directory's listing in upper over the origin's. The rules are those of overlayfs:
//
//   - a whiteout hides the name;
//   - what upper has hides what the origin has,
//   - except that two directories show as one, unless upper's is opaque;
//   - a directory of upper with a redirect shows as one with what that leads to, and not with its namesake.
//
// A directory that is opaque itself is merged with an empty lower listing: the caller knows.
func Merge(lower []object.Entry, found []upper.Found) []Item {
	items := make([]Item, 0, len(lower)+len(found))
	below := make(map[string]*object.Entry, min(len(lower), len(found)*64))
	if len(found) > 0 { // most directories are untouched: then nothing needs finding
		for i := range lower {
			below[lower[i].Name] = &lower[i]
		}
	}
	covered := make(map[string]bool, len(found))
	for i := range found {
		f := &found[i]
		e := below[f.Name]
		covered[f.Name] = e != nil
		if f.Whiteout {
			continue
		}
		item := Item{Name: f.Name, Upper: f, Covers: e != nil}
		if e != nil && isDir(f.Type) && isDir(LowerMode(e.Mode)) && !f.Opaque && f.Redirect == "" {
			item.Lower = e
		}
		items = append(items, item)
	}
	for i := range lower {
		if !covered[lower[i].Name] {
			items = append(items, Item{Name: lower[i].Name, Lower: &lower[i], Covers: true, IsLower: true})
		}
	}
	return items
}

func isDir(mode uint32) bool { return mode&0o170000 == 0o040000 }
