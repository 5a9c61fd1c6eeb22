package gitrepo_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
)

// BenchmarkRepo measures what a mount asks of a repository, at two sizes. doc.go quotes it.
func BenchmarkRepo(b *testing.B) {
	for _, files := range []int{20_000, 200_000} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			dir := synthetic(b, files)
			ids := blobIDs(b, dir, 2000)
			b.Run("open+pin", func(b *testing.B) { benchOpen(b, dir) })
			b.Run("tree", func(b *testing.B) { benchTree(b, dir) })
			b.Run("blob", func(b *testing.B) { benchBlob(b, dir, ids) })
			b.Run("size", func(b *testing.B) { benchSize(b, dir, ids) })
			b.Run("blob-parallel", func(b *testing.B) { benchBlobParallel(b, dir, ids) })
		})
	}
}

// synthetic makes a bare repository of n files of about 4 KiB, 100 in a directory, 30 directories in one above, packed.
func synthetic(b *testing.B, n int) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "repo.git")
	git := func(args ...string) *exec.Cmd {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
		return cmd
	}
	if out, err := git("init", "-q", "--bare", "-b", "main", dir).CombinedOutput(); err != nil {
		b.Fatalf("git init: %v: %s", err, out)
	}
	imp := git("--git-dir="+dir, "fast-import", "--quiet")
	in, err := imp.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := imp.Start(); err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(in)
	fmt.Fprint(w, "commit refs/heads/main\ncommitter A <a@example.org> 1700000000 +0000\ndata 1\nx\n")
	for i := range n {
		var body []byte
		for line := 0; len(body) < 4000; line++ {
			body = fmt.Appendf(body, "line %d of file %d: %x\n", line, i, uint32(i*line)*2654435761)
		}
		fmt.Fprintf(w, "M 100644 inline d%d/s%d/f%d.go\ndata %d\n%s\n", i/3000, i/100%30, i, len(body), body)
	}
	w.Flush()
	in.Close()
	if err := imp.Wait(); err != nil {
		b.Fatal(err)
	}
	return dir
}

func blobIDs(b *testing.B, dir string, n int) []object.ID {
	b.Helper()
	out, err := exec.Command("git", "--git-dir="+dir, "ls-tree", "-r", "--object-only", "main").Output()
	if err != nil {
		b.Fatal(err)
	}
	step := len(out) / 41 / n
	var ids []object.ID
	for i := range n {
		id, err := object.Parse(string(out[i*step*41 : i*step*41+40]))
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func openRepo(b *testing.B, dir string) *gitrepo.Repo {
	b.Helper()
	r, err := gitrepo.Open(b.Context(), dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	if _, err := r.Pin(b.Context(), ""); err != nil {
		b.Fatal(err)
	}
	return r
}

func benchOpen(b *testing.B, dir string) {
	for b.Loop() {
		r, err := gitrepo.Open(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		c, err := r.Pin(b.Context(), "")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Tree(b.Context(), remote.TreeRef{Commit: c.ID, ID: c.Tree}); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

func benchTree(b *testing.B, dir string) {
	r := openRepo(b, dir)
	c, err := r.Pin(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.Tree(b.Context(), remote.TreeRef{Commit: c.ID, ID: c.Tree}); err != nil {
			b.Fatal(err)
		}
	}
}

func readBlob(ctx context.Context, r *gitrepo.Repo, id object.ID) error {
	blob, err := r.Blob(ctx, id)
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(io.Discard, blob)
	return err
}

func benchBlob(b *testing.B, dir string, ids []object.ID) {
	r := openRepo(b, dir)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := readBlob(b.Context(), r, ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
	}
}

func benchSize(b *testing.B, dir string, ids []object.ID) {
	r := openRepo(b, dir)
	for i := 0; b.Loop(); i++ {
		if _, err := r.Size(b.Context(), ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
	}
}

func benchBlobParallel(b *testing.B, dir string, ids []object.ID) {
	r := openRepo(b, dir)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := readBlob(b.Context(), r, ids[i*7%len(ids)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
