package origintest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

func walkAll(t *testing.T, f Fixture) {
	compare(t, walk(t, f, pin(t, f, "")), lsTree(t, f.Repo, "HEAD"))
}

// walkPinned changes files of every mode, and directories, below a pinned commit.
func walkPinned(t *testing.T, f Fixture) {
	c := pin(t, f, "")
	want := lsTree(t, f.Repo, "HEAD")
	f.Repo.Write(t, "bin/run.sh", "changed\n", 0o644)
	f.Repo.Write(t, "bin/added", "#!/bin/sh\n", 0o755)
	f.Repo.Remove(t, "bin/tool")
	f.Repo.Remove(t, "foo")
	f.Repo.Remove(t, "dir/a/up")
	f.Repo.Write(t, "dir/a/b/c/deep.txt", "changed\n", 0o644)
	f.Repo.Symlink(t, "link2", "foo.txt")
	f.Repo.Commit(t, "second")
	compare(t, walk(t, f, c), want)
}

func treeEmpty(t *testing.T, f Fixture) {
	c := pin(t, f, "")
	got, err := f.Origin.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "nowhere", ID: object.EmptyTree})
	if err != nil || len(got.Payload) != 0 || got.Derived {
		t.Errorf("empty tree = %v, %v", got, err)
	}
}

func treeMissing(t *testing.T, f Fixture) {
	c := pin(t, f, "")
	got, err := f.Origin.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "nowhere", ID: object.Sum(object.Tree, []byte("x"))})
	if err == nil {
		t.Errorf("a tree that is not there = %v", got)
	}
	oneLine(t, "tree", err)
}

// walk lists everything below a pinned commit as "mode id path", by the origin alone.
func walk(t *testing.T, f Fixture, c remote.Commit) map[string]string {
	t.Helper()
	all := make(map[string]string)
	dirs := []remote.TreeRef{{Commit: c.ID, ID: c.Tree}}
	for len(dirs) > 0 {
		ref := dirs[0]
		dirs = dirs[1:]
		tree, err := f.Origin.Tree(t.Context(), ref)
		if err != nil {
			t.Fatalf("tree %q: %v", ref.Path, err)
		}
		if tree.Derived || object.Sum(object.Tree, tree.Payload) != ref.ID {
			t.Errorf("tree %q is not verified", ref.Path)
		}
		entries, err := object.ParseTree(tree.Payload)
		if err != nil {
			t.Fatalf("tree %q: %v", ref.Path, err)
		}
		for _, e := range entries {
			path := strings.TrimPrefix(ref.Path+"/"+e.Name, "/")
			all[path] = fmt.Sprintf("%06o %s", uint32(e.Mode), e.ID)
			if e.Mode == object.ModeTree {
				dirs = append(dirs, remote.TreeRef{Commit: c.ID, Path: path, ID: e.ID})
			}
		}
	}
	return all
}

// lsTree lists the same by git.
func lsTree(t *testing.T, r *Repo, rev string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	out := r.Git(t, "ls-tree", "-r", "-t", "-z", "--full-tree", rev)
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		info, path, _ := strings.Cut(line, "\t")
		fields := strings.Fields(info)
		all[path] = fields[0] + " " + fields[2]
	}
	return all
}

func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(want) < 20 {
		t.Fatalf("git lists only %d entries", len(want))
	}
	for path, w := range want {
		if got[path] != w {
			t.Errorf("%q = %q, want %q", path, got[path], w)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%q is not in the commit", path)
		}
	}
}

func pin(t *testing.T, f Fixture, rev string) remote.Commit {
	t.Helper()
	c, err := f.Origin.Pin(t.Context(), rev)
	if err != nil {
		t.Fatalf("pin %q: %v", rev, err)
	}
	return c
}

// wantError checks an error's kind and form.
func wantError(t *testing.T, op string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%q: %v, want %v", op, err, kind)
	}
	oneLine(t, op, err)
}

// oneLine checks that an error can be shown to a user as it is.
func oneLine(t *testing.T, op string, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("%q: error of more than a line: %q", op, err)
	}
}
