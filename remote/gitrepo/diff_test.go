package gitrepo_test

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// change makes a commit with each kind of difference.
func change(t *testing.T, repo *origintest.Repo) object.ID {
	t.Helper()
	repo.Git(t, "mv", "large.bin", "moved/large.bin.2")
	repo.Write(t, "moved/large.bin.2", strings.Repeat("end\n", 10)+repo.Git(t, "cat-file", "blob", "HEAD:large.bin"), 0o644)
	repo.Git(t, "mv", "foo.txt", "odd/new\nname")
	repo.Write(t, "README.md", "changed\n", 0o644)
	repo.Write(t, "bin/run.sh", repo.Git(t, "cat-file", "blob", "HEAD:bin/run.sh"), 0o644) // the mode alone
	repo.Remove(t, "dir/b/same")
	repo.Write(t, "dir/b/same/in", "a directory where a file was\n", 0o755)
	repo.Remove(t, "link")
	repo.Write(t, "link", "a file where a link was\n", 0o644)
	return repo.Commit(t, "second")
}

func wantChanges(t *testing.T, repo *origintest.Repo, old, now string, got []gitrepo.Difference) {
	t.Helper()
	id := func(name string) object.ID { return repo.ID(t, name) }
	want := []gitrepo.Difference{
		{Change: remote.Change{Action: remote.Modified, Path: "README.md", ID: id(now + ":README.md")}, Mode: object.ModeFile},
		{Change: remote.Change{Action: remote.Deleted, Path: "dir/b/same", ID: id(old + ":dir/b/same")}, Mode: object.ModeFile},
		{Change: remote.Change{Action: remote.New, Path: "dir/b/same/in", ID: id(now + ":dir/b/same/in")}, Mode: object.ModeExec},
		{Change: remote.Change{Action: remote.Modified, Path: "link", ID: id(now + ":link")}, Mode: object.ModeFile},
		{Change: remote.Change{Action: remote.Renamed, Path: "moved/large.bin.2", OldPath: "large.bin", ID: id(now + ":moved/large.bin.2")}, Mode: object.ModeFile, Similarity: 99},
		{Change: remote.Change{Action: remote.Renamed, Path: "odd/new\nname", OldPath: "foo.txt", ID: id(now + ":odd/new\nname")}, Mode: object.ModeFile, Similarity: 100},
	}
	slices.SortFunc(got, func(a, b gitrepo.Difference) int { return cmp.Compare(a.Path, b.Path) })
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDiff(t *testing.T) {
	repo := origintest.NewRepo(t)
	old := repo.ID(t, "HEAD")
	repo.Write(t, "moved/.gitkeep", "", 0o644)
	before := repo.Commit(t, "a place to move to")
	now := change(t, repo)
	r := open(t, repo.Dir)
	got, err := r.Diff(t.Context(), before, now)
	if err != nil {
		t.Fatal(err)
	}
	wantChanges(t, repo, before.String(), now.String(), got)

	all, err := r.Diff(t.Context(), object.EmptyTree, repo.ID(t, old.String()+"^{tree}"))
	if err != nil || len(all) < 30 || slices.ContainsFunc(all, func(d gitrepo.Difference) bool { return d.Action != remote.New }) {
		t.Errorf("from nothing: %d, %v", len(all), err)
	}
	if none, err := r.Diff(t.Context(), now, now); err != nil || len(none) != 0 {
		t.Errorf("from itself: %v, %v", none, err)
	}
	if _, err := r.Diff(t.Context(), now, object.Sum(object.Tree, []byte("x"))); !errors.Is(err, remote.ErrUnavailable) {
		t.Errorf("to what is not there: %v", err)
	}
}

func TestApplyMakesTheTreeThatThePatchWasMadeFrom(t *testing.T) {
	repo := origintest.NewRepo(t)
	repo.Write(t, "moved/.gitkeep", "", 0o644)
	before := repo.Commit(t, "a place to move to")
	now := change(t, repo)
	tree := repo.ID(t, "HEAD^{tree}")
	patches := map[string][]byte{
		"diff":         []byte(repo.Git(t, "diff", "--binary", "-M", before.String(), now.String())),
		"format-patch": []byte(repo.Git(t, "format-patch", "--stdout", "--binary", "--full-index", "-1", now.String())),
	}
	for name, patch := range patches {
		t.Run(name, func(t *testing.T) {
			fresh := clone(t, repo, before)
			r := open(t, fresh.Dir)
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			err := r.Apply(t.Context(), before, patch, func(patched *gitrepo.Repo, made object.ID) error {
				if made != tree {
					t.Errorf("tree %s, want %s", made, tree)
				}
				got, err := patched.Diff(t.Context(), before, made)
				wantChanges(t, repo, before.String(), now.String(), got)
				_, payload, err2 := patched.Object(t.Context(), repo.ID(t, "HEAD:README.md"))
				if string(payload) != "changed\n" {
					t.Errorf("a new blob reads as %q", payload)
				}
				return errors.Join(err, err2)
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Tree(t.Context(), remote.TreeRef{ID: tree}); !errors.Is(err, remote.ErrNotFound) {
				t.Errorf("the repository itself has the patch's tree: %v", err)
			}
			if left, err := filepath.Glob(temp + "/*"); len(left) != 0 || err != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// clone returns a repository without the objects that came after a commit.
func clone(t *testing.T, repo *origintest.Repo, at object.ID) *origintest.Repo {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	repo.Git(t, "branch", "-f", "before", at.String())
	repo.Git(t, "clone", "-q", "--no-local", "--single-branch", "-b", "before", "file://"+repo.Dir, dir)
	return &origintest.Repo{Dir: dir}
}

func TestApplyRefusesWhatDoesNotFit(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	t.Setenv("TMPDIR", t.TempDir())
	for name, patch := range map[string]string{
		"nothing":   "",
		"text":      "hello\n",
		"other":     "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-something else\n+x\n",
		"an escape": "--- /dev/null\n+++ b/../../x\n@@ -0,0 +1 @@\n+x\n",
	} {
		err := r.Apply(t.Context(), repo.ID(t, "HEAD"), []byte(patch), func(*gitrepo.Repo, object.ID) error {
			t.Errorf("%s was applied", name)
			return nil
		})
		if !errors.Is(err, gitrepo.ErrBadPatch) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
