package changelist_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// modules is a .gitmodules as git writes it.
func modules(paths ...string) string {
	text := "# submodules\n"
	for _, path := range paths {
		text += fmt.Sprintf("[submodule %q]\n\tpath = %s\n\turl = ../x.git\n", path, path)
	}
	return text
}

// TestANewSubmoduleIsOneThatGitmodulesNames: the origin has no blob for a submodule's commit, and none for what it lost.
func TestANewSubmoduleIsOneThatGitmodulesNames(t *testing.T) {
	none := func(ctx context.Context, id object.ID) (object.Mode, error) {
		if id == blob("commit") {
			return 0, fmt.Errorf("blob %s: %w", id, remote.ErrNotFound)
		}
		return modes(ctx, id)
	}
	for _, tt := range []struct {
		name string
		was  string // the base's .gitmodules, "" for none
		is   string // the changelist's, "" if it does not change it
		at   string
		new  string // the path of the submodule in the changelist
		want bool   // that it is taken for one
	}{
		{"that comes with its file", "", modules("a/b"), "", "a/b", true},
		{"in a file that changes", modules("sub"), modules("sub", "two"), "", "two", true},
		{"that the base names already", modules("sub", "two"), "", "", "two", true},
		{"in quotes", "", "[submodule \"x\"]\n path=\"a #\\\"b\" \n", "", `a #"b`, true},
		{"of a changelist of a directory", "", modules("two"), "lib", "two", true},
		{"that the root names, of a directory", modules("lib/two"), "", "lib", "two", true},
		{"that nothing names", "", "", "", "two", false},
		{"by another name", modules("other"), "", "", "two", false},
		{"of another directory", modules("two"), "", "lib", "two", false},
		{"whose file names others now", modules("two"), modules("one"), "", "two", false},
		{"outside of the sections", "", "[core]\npath = two\n", "", "two", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			files, changes := base(), []remote.Change{added(tt.new, "commit")}
			if tt.was != "" {
				files[".gitmodules"] = "100644 " + tt.was
			}
			switch {
			case tt.is != "" && tt.was != "":
				changes = append(changes, modified(".gitmodules", tt.is))
			case tt.is != "":
				changes = append(changes, added(".gitmodules", tt.is))
			}
			f, root := plant(files)
			r, err := changelist.Apply(t.Context(), f, root, changes, tt.at, none, func(_ context.Context, id object.ID) ([]byte, error) {
				for _, text := range []string{tt.is, tt.was} {
					if id == blob(text) {
						return []byte(text), nil
					}
				}
				return nil, errLost
			})
			if !tt.want {
				if !errors.Is(err, remote.ErrNotFound) || !strings.Contains(err.Error(), "two: ") || !strings.Contains(err.Error(), ".gitmodules") {
					t.Errorf("it is taken for something: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if e := list(t, f, r)[strings.TrimPrefix(tt.at+"/"+tt.new, "/")]; e.Mode != object.ModeGitlink || e.ID != blob("commit") {
				t.Errorf("it is %o %s", e.Mode, e.ID)
			}
			if slices.Contains(r.Blobs, blob("commit")) {
				t.Error("it is to be fetched")
			}
		})
	}
	f, root := plant(base())
	gone := []remote.Change{deleted(".gitmodules"), added("two", "commit")}
	files := base()
	files[".gitmodules"] = "100644 " + modules("two")
	g, named := plant(files)
	if _, err := changelist.Apply(t.Context(), g, named, gone, "", none, noTexts); !errors.Is(err, remote.ErrNotFound) {
		t.Errorf("a file that goes: %v", err)
	}
	if _, err := changelist.Apply(t.Context(), f, root, []remote.Change{added(".gitmodules", modules("two")), added("two", "commit")}, "", none, noTexts); !errors.Is(err, errLost) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}
