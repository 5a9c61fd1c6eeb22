package actors

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// TestAKnownInodeTakesLessThan400Bytes walks a repository of 200,000 entries in the shape of a large Go module, one
// directory to nine files, so that the kernel knows all of them. Contents are few: their number is not what is measured.
func TestAKnownInodeTakesLessThan400Bytes(t *testing.T) {
	const packages, filesEach = 20_000, 9
	files := make(map[string]file, packages*filesEach)
	for p := range packages {
		dir := fmt.Sprintf("vendor%d/example.com/group%d/package%d", p%7, p%90, p)
		for f := range filesEach {
			files[fmt.Sprintf("%s/source_file_%d.go", dir, f)] = file{object.ModeFile, fmt.Sprintf("package p%d\n", f)}
		}
	}
	r := newEngine(t, withFiles(files))
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	small, err := cache.Open(cache.Config{Dir: filepath.Join(r.dir, "small"), MemoryBytes: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	defer func() { check(t, small.Close()) }()
	r.replaceContent(small)
	check(t, r.mountAgain())
	before := heap()
	for _, path := range paths {
		if _, err := r.lookup(path); err != nil {
			t.Fatal(err)
		}
	}
	inodes := r.fs.core.index.Len()
	lookups := len(r.known)
	r.known = nil // the fake kernel's own
	each := float64(heap()-before) / float64(inodes)
	t.Logf("%d inodes known, %.0f bytes of heap each", inodes, each)
	if inodes < 200_000 || lookups < 200_000 || each >= 400 {
		t.Errorf("%d inodes of %.0f bytes each, want 200,000 of less than 400", inodes, each)
	}
	runtime.KeepAlive(files)
	runtime.KeepAlive(paths)
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// replaceContent gives the rig an engine over another content store.
func (r *rig) replaceContent(c Content) {
	r.t.Helper()
	first := r.engine
	engine, err := NewEngine(Config{Content: c, Bridge: r.bridge, Log: r.log})
	check(r.t, err)
	check(r.t, first.Close(r.t.Context()))
	r.engine = engine
}
