package gitrepo_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

func TestOpenFindsRepositories(t *testing.T) {
	repo := origintest.NewRepo(t)
	base := filepath.Dir(repo.Dir)
	repo.Git(t, "clone", "-q", "--bare", repo.Dir, filepath.Join(base, "bare.git"))
	repo.Git(t, "worktree", "add", "-q", filepath.Join(base, "linked"), "-b", "side")
	repo.Git(t, "clone", "-q", "--separate-git-dir", filepath.Join(base, "elsewhere"), repo.Dir, filepath.Join(base, "separate"))
	if err := os.Symlink(repo.Dir, filepath.Join(base, "symlink")); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path string }{
		{"a work tree", "repo"},
		{"its git directory", "repo/.git"},
		{"a directory inside", "repo/dir/a"},
		{"a bare repository", "bare.git"},
		{"a directory in a bare repository", "bare.git/refs"},
		{"a linked worktree", "linked"},
		{"a git directory elsewhere", "separate"},
		{"a symlink to one", "symlink"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, filepath.Join(base, tt.path))
			c, err := r.Pin(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if want := repo.ID(t, "HEAD"); c.ID != want {
				t.Errorf("head %s, want %s", c.ID, want)
			}
			if _, err := r.Tree(t.Context(), remote.TreeRef{Commit: c.ID, ID: c.Tree}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenRefusesInOneLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.MkdirAll(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, ".git"), []byte("gitdir: /nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a path that is not there": filepath.Join(dir, "missing"), "a file": file, "no repository": dir, "a dead gitdir link": broken,
		"a path like a flag": "-x",
	} {
		t.Run(name, func(t *testing.T) {
			r, err := gitrepo.Open(t.Context(), path)
			if err == nil {
				r.Close()
				t.Fatal("it was opened")
			}
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), path) {
				t.Errorf("error %q does not name %s in one line", err, path)
			}
		})
	}
}

func TestPathLikeAFlagOpens(t *testing.T) {
	repo := origintest.NewRepo(t)
	t.Chdir(filepath.Dir(repo.Dir))
	if err := os.Rename("repo", "-c"); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, "-c").Pin(t.Context(), origintest.TagAnnotated); err != nil {
		t.Error(err)
	}
}

func TestRevLikeAFlagPins(t *testing.T) {
	repo := origintest.NewRepo(t)
	repo.Git(t, "update-ref", "refs/heads/-dash", "HEAD")
	if _, err := open(t, repo.Dir).Pin(t.Context(), "-dash"); err != nil {
		t.Error(err)
	}
}

func TestPackedRepository(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	before, err := r.Pin(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	repo.Git(t, "gc", "-q", "--prune=now") // while a process has the loose objects open
	repo.Git(t, "pack-refs", "--all", "--prune")
	for _, rev := range []string{"", "main", origintest.TagAnnotated, "HEAD^0", before.ID.String()[:10]} {
		c, err := r.Pin(t.Context(), rev)
		if err != nil {
			t.Fatalf("pin %q: %v", rev, err)
		}
		if c.ID != before.ID {
			t.Errorf("pin %q = %s, want %s", rev, c.ID, before.ID)
		}
		if _, err := r.Tree(t.Context(), remote.TreeRef{ID: c.Tree}); err != nil {
			t.Error(err)
		}
	}
}

func TestRepositoryWithoutCommits(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q")
	_, err := open(t, dir).Pin(t.Context(), "")
	wantError(t, err, remote.ErrUnknownRev, dir)
}

func TestSHA256RepositoryIsNamed(t *testing.T) {
	dir := t.TempDir()
	git(t, dir, "init", "-q", "--object-format=sha256")
	git(t, dir, "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "--allow-empty", "-m", "x")
	_, err := open(t, dir).Pin(t.Context(), "")
	wantError(t, err, remote.ErrBadAnswer, "SHA-256")
}

// TestRepositoryOfAnotherUser pretends, by git's own test switch, that the repository is not ours, which git refuses.
func TestRepositoryOfAnotherUser(t *testing.T) {
	repo := origintest.NewRepo(t)
	t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	if out, err := exec.Command("git", "-C", repo.Dir, "rev-parse", "HEAD").CombinedOutput(); err == nil {
		t.Fatalf("git itself accepts it, so this shows nothing: %s", out)
	}
	r := open(t, repo.Dir)
	for _, rev := range []string{"", "main"} {
		if _, err := r.Pin(t.Context(), rev); err != nil {
			t.Errorf("pin %q: %v", rev, err)
		}
	}
}

func TestCallersGitEnvironmentIsIgnored(t *testing.T) {
	repo, other := origintest.NewRepo(t), t.TempDir()
	git(t, other, "init", "-q")
	for _, name := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"} {
		t.Setenv(name, filepath.Join(other, ".git"))
	}
	t.Setenv("GIT_CONFIG_PARAMETERS", "garbage")
	r := open(t, repo.Dir)
	if _, err := r.Pin(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if _, err := r.Pin(t.Context(), "main"); err != nil {
		t.Error(err)
	}
}

func TestReplacementsAreIgnored(t *testing.T) {
	repo := origintest.NewRepo(t)
	readme, other := repo.ID(t, "HEAD:README.md"), repo.ID(t, "HEAD:foo.txt")
	repo.Git(t, "replace", "-f", readme.String(), other.String())
	n, err := open(t, repo.Dir).Size(t.Context(), readme)
	if want := int64(len("# corpus\n")); err != nil || n != want {
		t.Errorf("size of a replaced blob %d, %v, want its own, %d", n, err, want)
	}
}

func TestLastChange(t *testing.T) {
	repo := origintest.NewRepo(t)
	first := repo.ID(t, "HEAD")
	repo.Write(t, "dir/b/same", "changed\n", 0o644)
	second := repo.Commit(t, "second")
	repo.Git(t, "config", "core.worktree", t.TempDir()) // paths are the commit's, wherever the work tree is
	r := open(t, repo.Dir)
	for path, want := range map[string]string{
		"dir/b/same": second.String(), "dir": second.String(), "dir/a": first.String(), "odd/q?": first.String(), "odd/-dash": first.String(),
	} {
		if got, err := r.LastChange(t.Context(), second, path); err != nil || got.String() != want {
			t.Errorf("last change of %s = %s, %v, want %s", path, got, err, want)
		}
	}
	_, err := r.LastChange(t.Context(), second, "od*")
	wantError(t, err, remote.ErrNotFound, "od*")
}
