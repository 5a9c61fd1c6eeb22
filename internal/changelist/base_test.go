package changelist_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
)

// files are a commit's, by path: each "MODE CONTENT", with a mode as in a tree object.
type files map[string]string

// forest is a base in memory, which knows where each of its trees stands.
type forest struct {
	trees map[object.ID][]byte
	at    map[string]object.ID // by path
	read  chan string          // the paths asked for
}

var _ changelist.Trees = (*forest)(nil)

func (f *forest) Tree(ctx context.Context, path string, id object.ID) ([]byte, error) {
	if f.at[path] != id {
		return nil, fmt.Errorf("%q is asked for as %s", path, id)
	}
	f.read <- path
	return f.trees[id], ctx.Err()
}

// plant makes trees of files.
func plant(fs files) (*forest, object.ID) {
	f := &forest{trees: make(map[object.ID][]byte), at: make(map[string]object.ID), read: make(chan string, 1000)}
	return f, f.grow(fs, "")
}

func (f *forest) grow(fs files, path string) object.ID {
	below := make(map[string]files)
	var entries []object.Entry
	for name, text := range fs {
		dir, rest, deeper := strings.Cut(name, "/")
		if !deeper {
			entries = append(entries, entry(name, text))
			continue
		}
		if below[dir] == nil {
			below[dir] = make(files)
		}
		below[dir][rest] = text
	}
	for name, fs := range below {
		entries = append(entries, object.Entry{Name: name, Mode: object.ModeTree, ID: f.grow(fs, strings.TrimPrefix(path+"/"+name, "/"))})
	}
	object.SortEntries(entries)
	payload := object.AppendTree(nil, entries)
	id := object.Sum(object.Tree, payload)
	f.trees[id], f.at[path] = payload, id
	return id
}

func entry(name, text string) object.Entry {
	e := object.Entry{Name: name}
	var content string
	if _, err := fmt.Sscanf(text, "%o", &e.Mode); err != nil {
		panic(err)
	}
	_, content, _ = strings.Cut(text, " ")
	e.ID = blob(content)
	return e
}

// blob is the id of a content, or of a commit: what it names is none of Apply's business.
func blob(content string) object.ID { return object.Sum(object.Blob, []byte(content)) }

// list returns what a tree made by Apply holds, with ids for contents.
func list(t *testing.T, base *forest, r changelist.Result) map[string]object.Entry {
	t.Helper()
	all := make(map[string]object.Entry)
	var walk func(id object.ID, path string)
	walk = func(id object.ID, path string) {
		payload, ok := r.Trees[id]
		if !ok {
			if payload, ok = base.trees[id]; !ok && id != object.EmptyTree {
				t.Fatalf("nobody has tree %s of %q", id, path)
			}
		}
		entries, err := object.ParseTree(payload)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 && path != "" {
			t.Errorf("%q is an empty directory", path)
		}
		for _, e := range entries {
			at := strings.TrimPrefix(path+"/"+e.Name, "/")
			if e.Mode == object.ModeTree {
				walk(e.ID, at)
				continue
			}
			e.Name = ""
			all[at] = e
		}
	}
	walk(r.Root, "")
	return all
}

// same compares what Apply made with the files that should be there.
func same(t *testing.T, base *forest, r changelist.Result, want files) {
	t.Helper()
	got := list(t, base, r)
	for _, path := range slices.Sorted(maps.Keys(want)) {
		e := entry("", want[path])
		if got[path] != e {
			t.Errorf("%q is %o %s, want %s", path, got[path].Mode, got[path].ID, want[path])
		}
		delete(got, path)
	}
	for path := range got {
		t.Errorf("%q should not be there", path)
	}
	if _, root := plant(want); len(want) > 0 && r.Root != root {
		t.Errorf("the root is %s, and %s with these files", r.Root, root)
	}
}

// noTexts is for changelists that bring nothing of which the origin has no blob.
func noTexts(context.Context, object.ID) ([]byte, error) { return nil, errLost }

// modes answers for contents as scripts do, and for submodules.
func modes(_ context.Context, id object.ID) (object.Mode, error) {
	switch id {
	case blob("#!new"):
		return object.ModeExec, nil
	case blob("commit"):
		return object.ModeGitlink, nil
	case blob("lost"):
		return 0, errLost
	}
	return object.ModeFile, nil
}
