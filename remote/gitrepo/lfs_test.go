package gitrepo_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// keepLarge puts a large file where git-lfs would.
func keepLarge(t *testing.T, gitDir, text string) (sum [32]byte, path string) {
	t.Helper()
	sum = sha256.Sum256([]byte(text))
	oid := hex.EncodeToString(sum[:])
	path = filepath.Join(gitDir, "lfs", "objects", oid[:2], oid[2:4], oid)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o444); err != nil {
		t.Fatal(err)
	}
	return sum, path
}

func TestLargeFilesAreReadFromGitLFS(t *testing.T) {
	repo := origintest.NewRepo(t)
	text := strings.Repeat("large ", 100_000)
	sum, _ := keepLarge(t, filepath.Join(repo.Dir, ".git"), text)
	worktree := filepath.Join(t.TempDir(), "linked")
	repo.Git(t, "worktree", "add", "-q", worktree)
	bare := filepath.Join(t.TempDir(), "bare")
	repo.Git(t, "clone", "-q", "--bare", repo.Dir, bare)
	keepLarge(t, bare, text)
	for name, dir := range map[string]string{"work tree": repo.Dir, "linked work tree": worktree, "bare": bare} {
		t.Run(name, func(t *testing.T) {
			r := open(t, dir)
			before := r.Counts()
			b, err := r.LargeFile(t.Context(), sum, int64(len(text)))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			got, err := io.ReadAll(b)
			if err != nil || string(got) != text || b.Size != int64(len(text)) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if now := r.Counts(); now.Requests != before.Requests+1 || now.Bytes != before.Bytes+uint64(len(text)) {
				t.Errorf("counted %+v after %+v", now, before)
			}
		})
	}
}

func TestLargeFilesThatAreNotThere(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	if _, err := r.LargeFile(t.Context(), sha256.Sum256([]byte("nowhere")), 7); !errors.Is(err, remote.ErrNotFound) {
		t.Errorf("nobody fetched it: %v", err)
	}
	sum, path := keepLarge(t, filepath.Join(repo.Dir, ".git"), "large")
	if _, err := r.LargeFile(t.Context(), sum, 6); !errors.Is(err, remote.ErrMismatch) {
		t.Errorf("another size: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	b, err := r.LargeFile(gone, sum, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	cancel()
	if _, err := b.Read(make([]byte, 5)); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
	if _, err := r.LargeFile(gone, sum, 5); !errors.Is(err, context.Canceled) {
		t.Errorf("opened after a cancel: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := r.LargeFile(t.Context(), sum, 4096); !errors.Is(err, remote.ErrMismatch) {
		t.Errorf("a directory: %v", err)
	}
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.LargeFile(t.Context(), sum, 5); !errors.Is(err, remote.ErrMismatch) {
		t.Errorf("a pipe: %v", err)
	}
}
