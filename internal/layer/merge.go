package layer

import (
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// Item is one name that a merged directory shows.
type Item struct {
	Name    string
	Upper   *upper.Found // nil if only lower layers have it
	Lower   *Entry       // nil if only upper has it, or if upper's hides it
	Covers  bool         // lower layers show the name to upper, whatever shows
	IsLower bool         // shows the lower layers' inode, untouched
	// Below is where a redirect of upper's leads to: whoever merges has to look.
	Below *tree.Below
}

// Merged tells whether the item is a directory that shows both upper's and lower layers' entries under one name.
func (i *Item) Merged() bool { return i.Upper != nil && i.Lower != nil }

// Merge lays a directory's listing in upper over that of the lower layers. The rules are those of overlayfs:
//
//   - a whiteout hides the name;
//   - what upper has hides what is below,
//   - except that two directories show as one, unless upper's is opaque;
//   - a directory of upper with a redirect shows as one with what that leads to, and not with its namesake.
//
// A directory that is opaque itself is merged with an empty lower listing: the caller knows. The rules among lower layers are
// the same: see Local.List.
func Merge(lower []Entry, found []upper.Found) []Item {
	items := make([]Item, 0, len(lower)+len(found))
	below := make(map[string]*Entry, min(len(lower), len(found)*64))
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
		if e != nil && f.Type == unix.S_IFDIR && e.Type == unix.S_IFDIR && !f.Opaque && f.Redirect == "" {
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
