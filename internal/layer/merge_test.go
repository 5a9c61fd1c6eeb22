package layer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// show spells an item as "name=what it shows", with "+" where the origin has the name as well.
func show(i layer.Item) string {
	s := i.Name + "="
	switch {
	case i.Merged():
		s += "merged"
	case i.Upper != nil:
		s += "upper"
	case i.IsLower:
		s += "lower"
	}
	if i.Covers {
		s += "+"
	}
	return s
}

// lowerList and found read listings such as "f:a d:b": types are f, x (executable), l, d, m (submodule); in upper also w
// (whiteout), o (opaque directory) and c (device).
func lowerList(list string) []layer.Entry {
	modes := map[string]object.Mode{
		"f": object.ModeFile, "x": object.ModeExec, "l": object.ModeSymlink, "d": object.ModeTree, "m": object.ModeGitlink,
	}
	var entries []object.Entry
	for i, word := range strings.Fields(list) {
		typ, name, _ := strings.Cut(word, ":")
		entries = append(entries, object.Entry{Name: name, Mode: modes[typ], ID: object.ID{byte(i + 1)}})
	}
	return layer.FromOrigin(entries, nil)
}

func found(list string) []upper.Found {
	types := map[string]uint32{
		"f": unix.S_IFREG, "l": unix.S_IFLNK, "d": unix.S_IFDIR, "o": unix.S_IFDIR, "w": unix.S_IFCHR, "c": unix.S_IFCHR,
	}
	var all []upper.Found
	for i, word := range strings.Fields(list) {
		typ, name, _ := strings.Cut(word, ":")
		all = append(all, upper.Found{Name: name, Type: types[typ], Ino: uint64(i + 1), Whiteout: typ == "w", Opaque: typ == "o"})
	}
	return all
}

func TestMerge(t *testing.T) {
	tests := []struct{ name, lower, upper, want string }{
		{"nothing is nothing", "", "", ""},
		{"what only the origin has shows", "f:a x:b l:c d:d m:e", "", "a=lower+ b=lower+ c=lower+ d=lower+ e=lower+"},
		{"what only upper has shows, and covers nothing", "", "f:a l:b d:c o:d c:e", "a=upper b=upper c=upper d=upper e=upper"},
		{"a whiteout hides a file", "f:a f:b", "w:a", "b=lower+"},
		{"a whiteout hides a directory", "d:a", "w:a", ""},
		{"a whiteout of nothing shows nothing", "", "w:a", ""},
		{"a file hides a file", "f:a", "f:a", "a=upper+"},
		{"a file hides a directory", "d:a", "f:a", "a=upper+"},
		{"a directory hides a file", "f:a", "d:a", "a=upper+"},
		{"a directory hides a link, even to a directory", "l:a", "d:a", "a=upper+"},
		{"a link hides a directory", "d:a", "l:a", "a=upper+"},
		{"two directories show as one", "d:a", "d:a", "a=merged+"},
		{"an opaque directory shows alone", "d:a", "o:a", "a=upper+"},
		{"a directory merges with a submodule, which is empty", "m:a", "d:a", "a=merged+"},
		{"a real device is no whiteout", "f:a", "c:a", "a=upper+"},
		{"names are compared as bytes", "f:A f:ä", "f:a w:ä", "A=lower+ a=upper"},
		{"all at once", "f:a f:b d:c d:d d:e f:f", "w:a f:b d:c o:d f:g",
			"b=upper+ c=merged+ d=upper+ e=lower+ f=lower+ g=upper"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			low, up := lowerList(tt.lower), found(tt.upper)
			for _, item := range layer.Merge(low, up) {
				got = append(got, show(item))
			}
			slices.Sort(got)
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
}

// FuzzMerge compares Merge with the rules said name by name.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("fxldm"), []byte("wfldoc"))
	f.Add([]byte("dddd"), []byte("dow"))
	f.Fuzz(func(t *testing.T, below, above []byte) {
		low, up := lowerList(words(below, "fxldm")), found(words(above, "flodwc"))
		items := make(map[string]layer.Item)
		for _, item := range layer.Merge(low, up) {
			if _, twice := items[item.Name]; twice {
				t.Fatalf("%s comes twice", item.Name)
			}
			items[item.Name] = item
		}
		for i := range 64 {
			name := fmt.Sprintf("n%d", i)
			item, shows := items[name]
			l := slices.IndexFunc(low, func(e layer.Entry) bool { return e.Name == name })
			u := slices.IndexFunc(up, func(e upper.Found) bool { return e.Name == name })
			if want := u >= 0 && !up[u].Whiteout || u < 0 && l >= 0; shows != want {
				t.Fatalf("%s shows: %v, want %v", name, shows, want)
			}
			if !shows {
				continue
			}
			both := u >= 0 && l >= 0 && up[u].Type == unix.S_IFDIR && !up[u].Opaque && low[l].Type == unix.S_IFDIR
			if item.Merged() != both || item.Covers != (l >= 0) || item.IsLower != (u < 0) || (item.Upper != nil) != (u >= 0) {
				t.Fatalf("%s is %s", name, show(item))
			}
			if item.Lower != nil && item.Lower != &low[l] || item.Upper != nil && item.Upper != &up[u] {
				t.Fatalf("%s shows another's entry", name)
			}
		}
	})
}

// words makes a listing of up to 64 names, skipping some, so that two listings overlap in part.
func words(program []byte, types string) string {
	var list []string
	for i, b := range program[:min(len(program), 64)] {
		if b%3 > 0 {
			list = append(list, fmt.Sprintf("%c:n%d", types[int(b)%len(types)], i))
		}
	}
	return strings.Join(list, " ")
}

func TestLowerState(t *testing.T) {
	id := object.ID{1}
	for mode, want := range map[object.Mode]uint32{
		object.ModeFile: unix.S_IFREG | 0o644, object.ModeExec: unix.S_IFREG | 0o755, object.ModeSymlink: unix.S_IFLNK | 0o777,
		object.ModeTree: unix.S_IFDIR | 0o755, object.ModeGitlink: unix.S_IFDIR | 0o755,
	} {
		s := layer.LowerState(object.Entry{Mode: mode, ID: id})
		if s.Mode != want || s.Orphan || s.Where != 0 {
			t.Errorf("%o: %+v", mode, s)
		}
		if mode == object.ModeGitlink {
			id := s.Object
			if id != object.EmptyTree {
				t.Errorf("a submodule lists %s: its commit is in another repository", id)
			}
			continue
		}
		if s.Object != id || (s.Size == 0) != (mode == object.ModeTree) {
			t.Errorf("%o: object %s, size %d", mode, s.Object, s.Size)
		}
	}
	if s := layer.LowerState(object.Entry{Mode: object.ModeFile, ID: object.EmptyBlob}); s.Size != 0 {
		t.Errorf("the empty file's size is %d", s.Size)
	}
}
