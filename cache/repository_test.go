package cache_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// TestARepositoryIsNoCache: git has its own objects at the same paths, and a cache would evict them, or take them for damaged.
func TestARepositoryIsNoCache(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repo.git")
	if out, err := exec.Command("git", "init", "-q", "--bare", dir).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v, %s", err, out)
	}
	hash := exec.Command("git", "-C", dir, "hash-object", "-w", "--stdin")
	hash.Stdin = strings.NewReader("the only copy\n")
	out, err := hash.Output()
	if err != nil {
		t.Fatal(err)
	}
	id, err := object.Parse(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	for name, use := range map[string]func() error{
		"Open": func() error {
			s, err := cache.Open(cache.Config{Dir: dir, DiskBytes: 1})
			if err == nil {
				_ = s.Close()
			}
			return err
		},
		"Inspect": func() error { _, err := cache.Inspect(dir); return err },
		"Collect": func() error { _, err := cache.Collect(dir, 0); return err },
		"Verify":  func() error { _, err := cache.Verify(t.Context(), dir, true, func(int64) {}); return err },
	} {
		if err := use(); !errors.Is(err, cache.ErrRepository) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want an error that names the repository", name, err)
		}
		if _, err := os.Stat(path(dir, id)); err != nil {
			t.Fatalf("%s: an object of git's has gone: %v", name, err)
		}
	}
}
