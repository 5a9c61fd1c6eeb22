package changelist_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

func TestApplyRefuses(t *testing.T) {
	tests := []struct {
		name    string
		changes []remote.Change
		at      string
		want    error
		says    string
	}{
		{"a modified path that the base does not have", []remote.Change{modified("lib/none", "N")}, "", changelist.ErrNotInBase, "lib/none"},
		{"one that it has elsewhere", []remote.Change{modified("deep/er/c", "N")}, "", changelist.ErrNotInBase, "--cl-path"},
		{"one that is a directory", []remote.Change{modified("lib/deep", "N")}, "", changelist.ErrNotInBase, "lib/deep"},
		{"a deleted path that the base does not have", []remote.Change{deleted("a/b/c")}, "", changelist.ErrNotInBase, "a/b/c"},
		{"a deleted directory", []remote.Change{deleted("lib")}, "", changelist.ErrNotInBase, "lib"},
		{"a deleted path below a file", []remote.Change{deleted("README/x")}, "", changelist.ErrNotInBase, "README/x"},
		{"a renamed path that the base does not have", []remote.Change{renamed("none", "n", "N")}, "", changelist.ErrNotInBase, "none"},
		{"a renamed directory", []remote.Change{renamed("lib", "n", "N")}, "", changelist.ErrNotInBase, "lib"},
		{"a changelist's path that is nowhere", []remote.Change{added("n", "N")}, "no/where", changelist.ErrNotInBase, "no/where"},
		{"a changelist's path that is a file", []remote.Change{added("n", "N")}, "README", changelist.ErrNotInBase, "README"},
		{"a changelist's path that is a submodule", []remote.Change{added("n", "N")}, "sub", changelist.ErrNotInBase, "sub"},
		{"a path with the changelist's in front", []remote.Change{modified("lib/a", "N")}, "lib", changelist.ErrNotInBase, "lib/lib/a"},

		{"new and deleted", []remote.Change{added("n", "N"), deleted("n")}, "", changelist.ErrConflict, "n: "},
		{"new with two contents", []remote.Change{added("n", "N"), added("n", "M")}, "", changelist.ErrConflict, "n: "},
		{"new and modified", []remote.Change{added("README", "N"), modified("README", "N")}, "", changelist.ErrConflict, "README"},
		{"renamed to one place from two", []remote.Change{renamed("lib/a", "n", "N"), renamed("lib/b", "n", "N")}, "", changelist.ErrConflict, "n: "},
		{"a file where a directory stays", []remote.Change{added("lib", "N")}, "", changelist.ErrConflict, "lib: "},
		{"a file where a part of a directory stays", []remote.Change{added("lib", "N"), deleted("lib/a"), deleted("lib/b")}, "", changelist.ErrConflict, "lib: "},
		{"a file, and files below it", []remote.Change{added("n", "N"), added("n/m", "M")}, "", changelist.ErrConflict, "n: "},
		{"a file below a file that stays", []remote.Change{added("README/n", "N")}, "", changelist.ErrConflict, "README: "},
		{"a file below a file that is modified", []remote.Change{added("README/n", "N"), modified("README", "M")}, "", changelist.ErrConflict, "README: "},
		{"a file in a submodule", []remote.Change{added("sub/n", "N")}, "", changelist.ErrConflict, "sub: "},

		{"an action of tomorrow", []remote.Change{{Action: "copied", Path: "n", ID: blob("N")}}, "", changelist.ErrBadChange, "copied"},
		{"no action", []remote.Change{{Path: "n", ID: blob("N")}}, "", changelist.ErrBadChange, "n"},
		{"no content", []remote.Change{{Action: remote.New, Path: "n"}}, "", changelist.ErrBadChange, "n"},
		{"a rename from nowhere", []remote.Change{{Action: remote.Renamed, Path: "n", ID: blob("N")}}, "", changelist.ErrBadChange, "n"},
		{"an unsafe old path", []remote.Change{renamed("../etc/passwd", "n", "N")}, "", changelist.ErrBadChange, "../etc/passwd"},
		{"an unsafe path of the changelist", []remote.Change{added("n", "N")}, "a/../b", changelist.ErrBadChange, "--cl-path"},
	}
	for _, path := range []string{
		"", "/", "/abs", "a//b", "a/", ".", "a/.", "..", "../a", "a/../b", "nul\x00", "a/b\x00c", strings.Repeat("n", 256),
		".git", ".git/config", "lib/.git/hooks/pre-commit", "lib/.GIT/x",
	} {
		tests = append(tests, struct {
			name    string
			changes []remote.Change
			at      string
			want    error
			says    string
		}{"the path " + path, []remote.Change{added(path, "N")}, "", changelist.ErrBadChange, "changelist: "})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, root := plant(base())
			r, err := changelist.Apply(t.Context(), f, root, append([]remote.Change{modified("lib.txt", "fine")}, tt.changes...), tt.at, modes, noTexts)
			if tt.at != "" {
				r, err = changelist.Apply(t.Context(), f, root, tt.changes, tt.at, modes, noTexts)
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %v that says %q", err, tt.want, tt.says)
			}
			if r.Root != (object.ID{}) || r.Trees != nil {
				t.Errorf("there is a result: %+v", r)
			}
		})
	}
}

// TestApplyDeletesADotGitThatIsThere: whoever has one by mistake can get rid of it.
func TestApplyDeletesADotGitThatIsThere(t *testing.T) {
	f, root := plant(files{".git/config": "100644 c", "a": "100644 A"})
	r, err := changelist.Apply(t.Context(), f, root, []remote.Change{deleted(".git/config")}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	same(t, f, r, files{"a": "100644 A"})
}
