package origintest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

// Revisions that a new Repo has.
const (
	TagAnnotated   = "v1"    // an annotated tag of the first commit
	TagLightweight = "light" // a plain one of the same
)

// CommitTime is the committer's time of each commit in a Repo, in unix seconds.
const CommitTime = 1_700_000_000

// LargeSize is the size in bytes of the blob /large.bin: more than a pipe, a socket buffer, or what a driver would hold.
const LargeSize = 3<<20 + 17

// foreignCommit is what the submodule entry /sub names. The repository has no such object.
const foreignCommit = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"

// Repo is a git repository with a work tree, made for one test.
type Repo struct {
	Dir string // the work tree
}

// NewRepo makes a repository with one commit: files of each mode, a submodule entry, names that break careless escaping
// or sorting, an empty file and a large one.
func NewRepo(t testing.TB) *Repo {
	t.Helper()
	r := &Repo{Dir: filepath.Join(t.TempDir(), "repo")}
	r.run(t, filepath.Dir(r.Dir), "init", "-q", "-b", "main", r.Dir)
	for path, text := range corpus() {
		r.Write(t, path, text, 0o644)
	}
	r.Write(t, "bin/run.sh", "#!/bin/sh\necho run\n", 0o755)
	r.Write(t, "bin/tool", "\x7fELF not really", 0o755)
	r.Symlink(t, "link", "README.md")
	r.Symlink(t, "dir/a/up", "../../bin/run.sh")
	r.Write(t, "large.bin", large(), 0o644)
	r.Git(t, "update-index", "--add", "--cacheinfo", "160000,"+foreignCommit+",sub")
	r.Commit(t, "first")
	r.Git(t, "tag", "-a", "-m", "one", TagAnnotated)
	r.Git(t, "tag", TagLightweight)
	return r
}

// corpus returns the plain files of a new Repo by path.
func corpus() map[string]string {
	files := map[string]string{
		"README.md":            "# corpus\n",
		"empty":                "",
		"dir/a/b/c/deep.txt":   "deep\n",
		"dir/a/same":           "same\n",
		"dir/b/same":           "same\n",
		"foo/in":               "git sorts the directory foo after foo-bar and foo.txt\n",
		"foo-bar":              "1\n",
		"foo.txt":              "2\n",
		"foo0":                 "3\n",
		"binary":               "a\x00b\xff\n",
		"no-newline":           "x",
		"odd/sp ace/+&%#?'/in": "each of them is something to a URL\n",
	}
	for _, name := range []string{
		"a+b", "a&b=c", "50%", "%41", "q?", "h#", "it's", `d"q`, "two words", "-dash", "grüße", "日本", "back\\slash",
		"new\nline", "tab\t", "not-utf8-\xff\xfe", "semi;colon", " lead", "...", strings.Repeat("n", 255),
	} {
		files["odd/"+name] = "named " + name + "\n"
	}
	return files
}

func large() string {
	b := make([]byte, LargeSize)
	x := uint32(1)
	for i := range b { // nothing that compresses, and nothing random
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

// Write writes a file in the work tree.
func (r *Repo) Write(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	full := r.parent(t, path)
	if err := os.WriteFile(full, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(full, mode); err != nil {
		t.Fatal(err)
	}
}

// WriteLFS writes a Git LFS pointer in the work tree, puts the content among the repository's LFS objects, and returns its
// SHA-256 in hex.
func (r *Repo) WriteLFS(t testing.TB, path, content string) string {
	t.Helper()
	oid := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	r.Write(t, filepath.Join(".git", "lfs", "objects", oid[:2], oid[2:4], oid), content, 0o644)
	r.Write(t, path, fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(content)), 0o644)
	return oid
}

// Symlink makes a symbolic link in the work tree.
func (r *Repo) Symlink(t testing.TB, path, target string) {
	t.Helper()
	if err := os.Symlink(target, r.parent(t, path)); err != nil {
		t.Fatal(err)
	}
}

// Remove removes a file or a directory with all below it from the work tree.
func (r *Repo) Remove(t testing.TB, path string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(r.Dir, path)); err != nil {
		t.Fatal(err)
	}
}

func (r *Repo) parent(t testing.TB, path string) string {
	t.Helper()
	full := filepath.Join(r.Dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	return full
}

// Commit commits the whole work tree and returns the commit's id. The submodule entry stays.
func (r *Repo) Commit(t testing.TB, message string) object.ID {
	t.Helper()
	r.Git(t, "add", "--all", "--", ".", ":(exclude,top)sub")
	r.Git(t, "commit", "-q", "--allow-empty", "-m", message)
	return r.ID(t, "HEAD")
}

// ID resolves any name that git knows, "HEAD:dir/file" too.
func (r *Repo) ID(t testing.TB, name string) object.ID {
	t.Helper()
	id, err := object.Parse(strings.TrimSpace(r.Git(t, "rev-parse", "--verify", "--end-of-options", name)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Git runs git in the repository and returns its output.
func (r *Repo) Git(t testing.TB, args ...string) string {
	t.Helper()
	return r.run(t, r.Dir, args...)
}

// run runs git with an identity, a clock and a configuration that no machine changes.
func (r *Repo) run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A U Thor", "GIT_AUTHOR_EMAIL=author@example.org", "GIT_AUTHOR_DATE=1600000000 +0000",
		"GIT_COMMITTER_NAME=C O Mitter", "GIT_COMMITTER_EMAIL=committer@example.org", "GIT_COMMITTER_DATE=1700000000 +0100",
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %q: %v: %s", args, err, stderr.String())
	}
	return string(out)
}
