package changelist_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

var errLost = errors.New("content is lost")

// Changes as a test writes them.
func added(path, content string) remote.Change {
	return remote.Change{Action: remote.New, Path: path, ID: blob(content)}
}
func modified(path, content string) remote.Change {
	return remote.Change{Action: remote.Modified, Path: path, ID: blob(content)}
}
func deleted(path string) remote.Change {
	return remote.Change{Action: remote.Deleted, Path: path, ID: blob("whatever it was")}
}
func renamed(from, to, content string) remote.Change {
	return remote.Change{Action: remote.Renamed, Path: to, OldPath: from, ID: blob(content)}
}

// base is what most tests change.
func base() files {
	return files{
		"README": "100644 read", "bin/run": "100755 #!run", "bin/link": "120000 run", "lib/a": "100644 A", "lib/b": "100755 B",
		"lib/deep/er/c": "100644 C", "lib.txt": "100644 t", "sub": "160000 one", "alone/in/here": "100644 x",
	}
}

// but returns base with other files; "" is none.
func but(changes ...string) files {
	fs := base()
	for i := 0; i < len(changes); i += 2 {
		if fs[changes[i]] = changes[i+1]; changes[i+1] == "" {
			delete(fs, changes[i])
		}
	}
	return fs
}

func TestApply(t *testing.T) {
	tests := []struct {
		name    string
		changes []remote.Change
		want    files
	}{
		{"a new file in a known directory", []remote.Change{added("lib/n", "N")}, but("lib/n", "100644 N")},
		{"a new file in new directories", []remote.Change{added("x/y/z", "N")}, but("x/y/z", "100644 N")},
		{"a new script is executable", []remote.Change{added("bin/new", "#!new")}, but("bin/new", "100755 #!new")},
		{"a new empty file", []remote.Change{added("none", "")}, but("none", "100644 ")},
		{"a new submodule that modeOf knows", []remote.Change{added("two", "commit")}, but("two", "160000 commit")},
		{"a modified file keeps its mode", []remote.Change{modified("lib/a", "#!new"), modified("lib/b", "B2")},
			but("lib/a", "100644 #!new", "lib/b", "100755 B2")},
		{"a modified link stays a link", []remote.Change{modified("bin/link", "../README")}, but("bin/link", "120000 ../README")},
		{"a modified submodule stays one", []remote.Change{modified("sub", "two")}, but("sub", "160000 two")},
		{"new where the base has the file already", []remote.Change{added("bin/run", "R")}, but("bin/run", "100755 R")},
		{"a deleted file", []remote.Change{deleted("lib/a")}, but("lib/a", "")},
		{"a deleted submodule and link", []remote.Change{deleted("sub"), deleted("bin/link")}, but("sub", "", "bin/link", "")},
		{"a directory goes with its last file", []remote.Change{deleted("alone/in/here")}, but("alone/in/here", "")},
		{"all but one directory goes", []remote.Change{deleted("lib/a"), deleted("lib/b"), deleted("lib/deep/er/c")},
			but("lib/a", "", "lib/b", "", "lib/deep/er/c", "")},
		{"a renamed file has its old mode", []remote.Change{renamed("bin/run", "lib/run", "changed")},
			but("bin/run", "", "lib/run", "100755 changed")},
		{"a renamed link and submodule", []remote.Change{renamed("bin/link", "l", "run"), renamed("sub", "dir/sub", "one")},
			but("bin/link", "", "l", "120000 run", "sub", "", "dir/sub", "160000 one")},
		{"a chain of renames has the modes of the base", []remote.Change{renamed("lib/b", "lib/deep/er/c", "B"), renamed("lib/a", "lib/b", "A"), added("lib/a", "N")},
			but("lib/deep/er/c", "100755 B", "lib/b", "100644 A", "lib/a", "100644 N")},
		{"a swap", []remote.Change{renamed("lib/a", "bin/run", "A"), renamed("bin/run", "lib/a", "#!run")},
			but("lib/a", "100755 #!run", "bin/run", "100644 A")},
		{"one file renamed to two places", []remote.Change{renamed("bin/run", "a", "1"), renamed("bin/run", "b", "2")},
			but("bin/run", "", "a", "100755 1", "b", "100755 2")},
		{"a rename whose old path is named as deleted too", []remote.Change{renamed("lib/a", "n", "A"), deleted("lib/a")}, but("lib/a", "", "n", "100644 A")},
		{"renamed, with something new in its place", []remote.Change{renamed("bin/run", "n", "#!run"), added("bin/run", "N")},
			but("n", "100755 #!run", "bin/run", "100755 N")},
		{"a rename to the same name is a change", []remote.Change{renamed("lib/b", "lib/b", "N")}, but("lib/b", "100755 N")},
		{"a file becomes a directory", []remote.Change{deleted("README"), added("README/first", "1")}, but("README", "", "README/first", "100644 1")},
		{"a file moves below its own name", []remote.Change{renamed("bin/run", "bin/run/run", "#!run")}, but("bin/run", "", "bin/run/run", "100755 #!run")},
		{"a submodule becomes a directory", []remote.Change{deleted("sub"), added("sub/in", "1")}, but("sub", "", "sub/in", "100644 1")},
		{"a directory becomes a file", []remote.Change{deleted("alone/in/here"), added("alone", "#!new")}, but("alone/in/here", "", "alone", "100755 #!new")},
		{"a directory becomes the file that was in it", []remote.Change{renamed("alone/in/here", "alone", "x")}, but("alone/in/here", "", "alone", "100644 x")},
		{"the same twice", []remote.Change{deleted("lib/a"), deleted("lib/a"), added("n", "N"), added("n", "N")}, but("lib/a", "", "n", "100644 N")},
		{"nothing that changes anything", []remote.Change{modified("lib/a", "A"), added("bin/run", "#!run")}, base()},
		{"names that sort around a directory", []remote.Change{added("lib-1", "1"), added("lib0", "2"), deleted("lib.txt")},
			but("lib-1", "100644 1", "lib0", "100644 2", "lib.txt", "")},
		{"odd names", []remote.Change{added("a b/\xff\n", "1"), added(".gitkeep", ""), added(".github/x", "2"), added("...", "3")},
			but("a b/\xff\n", "100644 1", ".gitkeep", "100644 ", ".github/x", "100644 2", "...", "100644 3")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, root := plant(base())
			for range 3 { // in any order
				r, err := changelist.Apply(t.Context(), f, root, tt.changes, "", modes, noTexts)
				if err != nil {
					t.Fatal(err)
				}
				same(t, f, r, tt.want)
				newOnly(t, f, r)
				slices.Reverse(tt.changes)
				if len(tt.changes) > 2 {
					tt.changes[0], tt.changes[1] = tt.changes[1], tt.changes[0]
				}
			}
		})
	}
}

// newOnly checks that a result has the trees that are not the base's, and each under its id.
func newOnly(t *testing.T, f *forest, r changelist.Result) {
	t.Helper()
	for id, payload := range r.Trees {
		if object.Sum(object.Tree, payload) != id {
			t.Errorf("tree %s has another's payload", id)
		}
		if f.trees[id] != nil {
			t.Errorf("tree %s is the base's", id)
		}
	}
	if _, made := r.Trees[r.Root]; !made && r.Root != r.Base && r.Root != object.EmptyTree {
		t.Errorf("nobody has the root %s", r.Root)
	}
}

func TestApplyNothing(t *testing.T) {
	r, err := changelist.Apply(t.Context(), nil, blob("any id"), nil, "no/matter", nil, noTexts)
	if err != nil || r.Root != blob("any id") || r.Base != r.Root || len(r.Trees)+len(r.Blobs)+len(r.Changed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestApplyEverythingAway(t *testing.T) {
	f, root := plant(files{"a/b": "100644 1", "c": "100644 2"})
	r, err := changelist.Apply(t.Context(), f, root, []remote.Change{deleted("c"), deleted("a/b")}, "", modes, noTexts)
	if err != nil || r.Root != object.EmptyTree || len(r.Trees) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = changelist.Apply(t.Context(), f, object.EmptyTree, []remote.Change{added("a/b", "1"), added("c", "2")}, "", modes, noTexts)
	if err != nil || r.Root != root {
		t.Errorf("and back: %s, %v, want %s", r.Root, err, root)
	}
}

// TestApplyReadsOnlyTheWay: no tree of the base is read, and none made, that is not on the way to a change.
func TestApplyReadsOnlyTheWay(t *testing.T) {
	f, root := plant(base())
	r, err := changelist.Apply(t.Context(), f, root, []remote.Change{modified("lib/deep/er/c", "N"), added("new/dir/n", "N")}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	close(f.read)
	var read []string
	for path := range f.read {
		read = append(read, path)
	}
	if want := []string{"", "lib", "lib/deep", "lib/deep/er"}; !slices.Equal(read, want) {
		t.Errorf("read %q, want %q", read, want)
	}
	if len(r.Trees) != 6 {
		t.Errorf("%d trees made, want 6", len(r.Trees))
	}
}

func TestApplyBelowTheChangelistsPath(t *testing.T) {
	for _, at := range []string{"lib", "/lib/", "lib/deep/er"} {
		f, root := plant(base())
		path := map[bool]string{true: "c", false: "deep/er/c"}[strings.HasSuffix(at, "er")]
		r, err := changelist.Apply(t.Context(), f, root, []remote.Change{renamed(path, "moved", "C")}, at, modes, noTexts)
		if err != nil {
			t.Fatal(err)
		}
		to := strings.Trim(at, "/") + "/moved"
		same(t, f, r, but("lib/deep/er/c", "", to, "100644 C"))
		want := changelist.PathChange{Action: remote.Renamed, Path: to, OldPath: "lib/deep/er/c", Mode: object.ModeFile, ID: blob("C")}
		if len(r.Changed) != 1 || r.Changed[0] != want {
			t.Errorf("changed %+v, want %+v", r.Changed, want)
		}
	}
}

// TestApplySaysWhatChanged: for status, and for whoever downloads.
func TestApplySaysWhatChanged(t *testing.T) {
	f, root := plant(base())
	r, err := changelist.Apply(t.Context(), f, root, []remote.Change{
		renamed("lib/a", "z", "A"), renamed("lib/b", "y", "B2"), added("n", "same"), added("m", "same"), added("e", ""),
		deleted("README"), modified("sub", "two"), modified("bin/run", "#!run"),
	}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	var changed []string
	for _, c := range r.Changed {
		changed = append(changed, fmt.Sprintf("%s %s<%s %o %v", c.Action, c.Path, c.OldPath, c.Mode, c.ID == object.ID{}))
	}
	if want := []string{
		"deleted README< 0 true", "modified bin/run< 100755 false", "new e< 100644 false", "new m< 100644 false", "new n< 100644 false",
		"modified sub< 160000 false", "renamed y<lib/b 100755 false", "renamed z<lib/a 100644 false",
	}; !slices.Equal(changed, want) {
		t.Errorf("changed\n%s\nwant\n%s", strings.Join(changed, "\n"), strings.Join(want, "\n"))
	}
	brings := map[object.ID]bool{blob("same"): true, blob("B2"): true} // what the base has where it comes from is no download
	for _, id := range r.Blobs {
		if !brings[id] {
			t.Errorf("brings %s", id)
		}
		delete(brings, id)
	}
	if len(brings) > 0 {
		t.Errorf("does not bring %v", slices.Collect(maps.Keys(brings)))
	}
}

// TestApplyFailsWithItsSources: neither a base that cannot be read nor a content that cannot be had is taken for absence.
func TestApplyFailsWithItsSources(t *testing.T) {
	f, root := plant(base())
	if _, err := changelist.Apply(t.Context(), f, root, []remote.Change{added("n", "lost")}, "", modes, noTexts); !errors.Is(err, errLost) || !strings.Contains(err.Error(), "n: ") {
		t.Errorf("a lost content: %v", err)
	}
	wrong := func(context.Context, object.ID) (object.Mode, error) { return object.ModeTree, nil }
	if _, err := changelist.Apply(t.Context(), f, root, []remote.Change{added("n", "N")}, "", wrong, noTexts); err == nil {
		t.Error("a file with the mode of a directory")
	}
	f.at["lib"] = object.ID{}
	if _, err := changelist.Apply(t.Context(), f, root, []remote.Change{modified("lib/a", "N")}, "", modes, noTexts); err == nil || !strings.Contains(err.Error(), `"lib"`) {
		t.Errorf("an unreadable base: %v", err)
	}
	f.trees[root] = []byte("not a tree")
	if _, err := changelist.Apply(t.Context(), f, root, []remote.Change{modified("README", "N")}, "", modes, noTexts); !errors.Is(err, object.ErrBadTree) {
		t.Errorf("a damaged base: %v", err)
	}
}
