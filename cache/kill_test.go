package cache

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

// putterDir in the environment makes this program a process that uses a cache there until it is killed.
const putterDir = "ANTARES_TEST_PUTTER_DIR"

// putterLimit is what such processes may leave there.
const putterLimit = 6 << 20

func TestMain(m *testing.M) {
	if dir := os.Getenv(putterDir); dir != "" {
		useForEver(dir)
	}
	os.Exit(m.Run())
}

// useForEver puts and reads objects, and ends the process when something is wrong.
func useForEver(dir string) {
	s, err := Open(Config{Dir: dir, DiskBytes: putterLimit, MemoryBytes: 1 << 20, fresh: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	for {
		seed := r.IntN(60)
		b := putterBody(seed)
		id := object.Sum(object.Blob, b)
		if _, err := s.Put(object.Blob, id, int64(len(b)), bytes.NewReader(b)); err != nil {
			panic(err)
		}
		seed = r.IntN(60)
		if err := readsRight(s, putterBody(seed)); err != nil {
			panic(err)
		}
	}
}

// putterBody is one of the objects: some are large.
func putterBody(seed int) []byte {
	if seed%10 == 0 {
		return body(seed, SmallMax+seed)
	}
	return body(seed, 50_000+seed*3000)
}

// readsRight looks for an object, which may be missing.
func readsRight(s *Store, want []byte) error {
	p := make([]byte, 10_000)
	n, err := s.ReadAt(object.Sum(object.Blob, want), p, 7)
	if err == nil && !bytes.Equal(p[:n], want[7:][:n]) {
		return fmt.Errorf("an object of %d bytes reads wrong", len(want))
	}
	return nil
}

// TestKilledProcessesShareADirectory: several processes fill a directory beyond the limit that they all keep, and are killed
// at any time. What is left is right, is below the limit after the next scan, and has no unfinished files.
func TestKilledProcessesShareADirectory(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		var all []*exec.Cmd
		for range 3 {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), putterDir+"="+dir)
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			all = append(all, cmd)
		}
		time.Sleep(time.Duration(100+r.IntN(400)) * time.Millisecond) // any moment will do
		for _, cmd := range all {
			_ = cmd.Process.Kill()
			if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
				t.Fatalf("it ended by itself: %v", cmd.ProcessState)
			}
		}
	}
	c := &crowd{dir: dir}
	s := c.open(t, Config{DiskBytes: putterLimit, fresh: 1})
	c.swept(t, s, putterLimit+usageSlack)
	for seed := range 60 {
		want := putterBody(seed)
		if err := readsRight(s, want); err != nil {
			t.Error(err)
		}
		if size, ok := s.Size(object.Sum(object.Blob, want)); ok && size != int64(len(want)) {
			t.Errorf("size %d, want %d", size, len(want))
		}
	}
	if n := s.Stats().Mismatches; n > 0 {
		t.Errorf("%d damaged objects", n)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "tmp", "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("unfinished files: %v, %v", left, err)
	}
}
