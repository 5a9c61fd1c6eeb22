package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// lfsFiles are a repository's files of Git LFS.
func lfsFiles() map[string]string {
	return map[string]string{
		"huge.bin": largeText(12 << 20), "big.bin": largeText(600 << 10), "dir/small.bin": largeText(5000), "dir/tiny.bin": "t",
		"tool": "#!/bin/sh\necho it runs\n", "lost.bin": largeText(700 << 10), "bad.bin": largeText(800 << 10),
	}
}

// lfsPath is where git-lfs keeps a file, and lfsPointer what git has instead.
func lfsPath(repo *origintest.Repo, text string) string {
	oid := lfsOID(text)
	return filepath.Join(repo.Dir, ".git", "lfs", "objects", oid[:2], oid[2:4], oid)
}

func lfsPointer(text string) string {
	return fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", lfsOID(text), len(text))
}

func lfsOID(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// keepLFS puts a file where git-lfs keeps it.
func keepLFS(t *testing.T, repo *origintest.Repo, text string) {
	t.Helper()
	at := lfsPath(repo, text)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lfsRepo has them, as git-lfs would leave them after a fetch; but lost.bin was not fetched, and bad.bin is damaged.
func lfsRepo(t *testing.T) *origintest.Repo {
	t.Helper()
	repo := origintest.NewRepo(t)
	for path, text := range lfsFiles() {
		mode := os.FileMode(0o644)
		if path == "tool" {
			mode = 0o755
		}
		repo.Write(t, path, lfsPointer(text), mode)
		if path != "lost.bin" {
			keepLFS(t, repo, text)
		}
	}
	bad := []byte(lfsFiles()["bad.bin"])
	bad[1000] ^= 1
	if err := os.WriteFile(lfsPath(repo, lfsFiles()["bad.bin"]), bad, 0o600); err != nil {
		t.Fatal(err)
	}
	repo.Write(t, "like.bin", strings.Replace(lfsPointer("like"), "sha256", "sha512", 1), 0o644)
	repo.Commit(t, "with large files")
	return repo
}

// TestGitLFS: with --lfs files show where the commit has pointers, each with its own size, which costs no download.
func TestGitLFS(t *testing.T) {
	t.Parallel()
	repo := lfsRepo(t)
	files := lfsFiles()
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin, Cache: lab.Path("cache-one"), Flags: []string{"--lfs"}})
		for path, text := range files {
			if got := lab.Shell(m.Point, "stat -c %s "+path); got != fmt.Sprintln(len(text)) {
				t.Errorf("%s has %s bytes, want %d", path, got, len(text))
			}
		}
		if got := m.Unmount(); got.OriginBytes > 500<<10 {
			t.Errorf("%d bytes were fetched for the sizes", got.OriginBytes)
		}

		m = lab.Mount(testfs.Spec{Origin: origin, Flags: []string{"--lfs"}, EIO: true})
		for _, path := range []string{"huge.bin", "big.bin", "dir/small.bin", "dir/tiny.bin", "tool"} {
			wantContent(t, m.Path(path), files[path]) // whose size nobody asked for
		}
		for _, path := range []string{"lost.bin", "bad.bin"} {
			r := lab.Run(testfs.Command{Dir: m.Point}, "cat", path)
			if !strings.Contains(r.Stderr, "Input/output error") {
				t.Errorf("%s: exit status %d, %q, want an Input/output error", path, r.Code, r.Stderr)
			}
		}
		if log := m.Log(); !strings.Contains(log, lfsOID(files["lost.bin"])) {
			t.Errorf("the log does not name the file that is not there: %s", log)
		}
		wantContent(t, m.Path("like.bin"), strings.Replace(lfsPointer("like"), "sha256", "sha512", 1))
		wantContent(t, m.Path("README.md"), "# corpus\n")
		lab.Shell(m.Point, `
			test "$(./tool)" = 'it runs'
			printf X | dd of=huge.bin bs=1 seek=5000000 conv=notrunc status=none
			echo more >> big.bin; truncate -s 10 dir/small.bin; mv dir/tiny.bin moved; cp --reflink=auto tool tool2`)
		huge := files["huge.bin"]
		wantContent(t, m.Path("huge.bin"), huge[:5000000]+"X"+huge[5000001:])
		wantContent(t, m.InUpper("big.bin"), files["big.bin"]+"more\n")
		wantContent(t, m.InUpper("dir/small.bin"), files["dir/small.bin"][:10])
		wantContent(t, m.Path("moved"), "t")
		wantContent(t, m.Path("tool2"), files["tool"])
		m.Unmount()
	})
}

// TestGitLFSOutlivesTheEngine and the network: the next engine knows what the store has, and asks for nothing that it has.
func TestGitLFSOutlivesTheEngine(t *testing.T) {
	t.Parallel()
	repo := lfsRepo(t)
	files := lfsFiles()
	lab := suite.New(t)
	cache := lab.Path("cache")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Cache: cache, Flags: []string{"--lfs"}})
	wantContent(t, m.Path("big.bin"), files["big.bin"])
	await(t, "what was read is on disk", func() bool {
		_, err := os.Stat(filepath.Join(cache, "objects", lfsOID(files["big.bin"])[:2], lfsOID(files["big.bin"])[2:40]))
		return err == nil
	})
	lab.Shell(m.Point, "ls -l huge.bin dir > /dev/null")
	m.NextEngine(m.KillEngine())
	for _, path := range []string{"big.bin", "dir/small.bin", "huge.bin"} {
		wantContent(t, m.Path(path), files[path])
	}
	m.Unmount()
	for _, path := range []string{"big.bin", "dir/small.bin", "huge.bin"} {
		if err := os.Remove(lfsPath(repo, files[path])); err != nil {
			t.Fatal(err)
		}
	}
	m = lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Cache: cache, Flags: []string{"--lfs", "--offline"}})
	for _, path := range []string{"big.bin", "dir/small.bin", "huge.bin"} {
		wantContent(t, m.Path(path), files[path])
	}
	m.Unmount()
}

// TestPointersShowWithoutLFS, also to a mount whose store has the files.
func TestPointersShowWithoutLFS(t *testing.T) {
	t.Parallel()
	repo := lfsRepo(t)
	lab := suite.New(t)
	with := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Flags: []string{"--lfs"}})
	without := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	for path, text := range lfsFiles() {
		if path != "lost.bin" && path != "bad.bin" {
			wantContent(t, with.Path(path), text)
		}
		wantContent(t, without.Path(path), lfsPointer(text))
	}
}

// TestGitLFSInAChangelist: what a changelist brings, moves and takes away is files, too, with the modes of the base.
func TestGitLFSInAChangelist(t *testing.T) {
	t.Parallel()
	repo := lfsRepo(t)
	files := lfsFiles()
	first := repo.ID(t, "HEAD").String()
	keepLFS(t, repo, "#!/bin/sh\necho it runs anew\n")
	keepLFS(t, repo, largeText(300<<10))
	repo.Write(t, "tool", lfsPointer("#!/bin/sh\necho it runs anew\n"), 0o755)
	repo.Write(t, "new/one.bin", lfsPointer(largeText(300<<10)), 0o644)
	repo.Write(t, "moved/big.bin", lfsPointer(files["big.bin"]), 0o644)
	repo.Remove(t, "big.bin")
	repo.Remove(t, "dir/tiny.bin")
	second := repo.Commit(t, "changed").String()
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: lab.Mono(repo.Dir, "--head", first, "--cl", "A="+second), Flags: []string{"--lfs", "--cl", "A"}})
	lab.Shell(m.Point, `
		test "$(./tool)" = 'it runs anew'; test ! -e big.bin; test ! -e dir/tiny.bin
		test "$(stat -c %s new/one.bin moved/big.bin huge.bin | tr '\n' ' ')" = '307200 614400 12582912 '`)
	wantContent(t, m.Path("new/one.bin"), largeText(300<<10))
	wantContent(t, m.Path("moved/big.bin"), files["big.bin"])
	wantContent(t, m.Path("dir/small.bin"), files["dir/small.bin"])
}
