package cache

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

// stored puts n bytes into a new Store, closes it, and returns the directory, the id and the payload.
func stored(t *testing.T, n int) (string, object.ID, []byte) {
	t.Helper()
	dir, b := t.TempDir(), bytes.Repeat([]byte("damage "), n/7+1)[:n]
	id := object.Sum(object.Blob, b)
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Put(object.Blob, id, int64(n), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return dir, id, b
}

// reopen opens a Store over dir; afterReboot makes it see the files as written before the machine started.
func reopen(t *testing.T, dir string, afterReboot bool) (*Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if afterReboot {
		time.Sleep(20 * time.Millisecond) // the kernel stamps files with a clock that ticks every 4 to 10 ms
		s.disk.boot = time.Now()
		time.Sleep(20 * time.Millisecond)
	}
	return s, &log
}

// damage changes an object's file in place; 0o444 does not stop root, others need the chmod.
func damage(t *testing.T, path string, change func(*os.File) error) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := change(f); err != nil {
		t.Fatal(err)
	}
}

func flipByte(f *os.File) error { _, err := f.WriteAt([]byte{'X'}, 500); return err }
func cutTail(f *os.File) error  { return f.Truncate(600) }
func cutAll(f *os.File) error   { return f.Truncate(0) }

// readers are the ways to meet a damaged object first.
func readers() map[string]func(*Store, object.ID) bool {
	return map[string]func(*Store, object.ID) bool{
		"Bytes": func(s *Store, id object.ID) bool { _, ok := s.Bytes(id); return ok },
		"ReadAt": func(s *Store, id object.ID) bool {
			_, err := s.ReadAt(id, make([]byte, 10), 0)
			return !errors.Is(err, ErrMissing)
		},
		"Size": func(s *Store, id object.ID) bool { _, ok := s.Size(id); return ok },
		"Open": func(s *Store, id object.ID) bool {
			f, err := s.Open(id)
			if err == nil {
				_ = f.Close()
			}
			return !errors.Is(err, ErrMissing)
		},
	}
}

func TestDamageIsMissing(t *testing.T) {
	const small, large = 1000, SmallMax + 1000
	cases := []struct {
		name   string
		size   int
		change func(*os.File) error
		reboot bool
		by     []string // the reads that have to notice
	}{
		{"a flipped byte in a small object", small, flipByte, false, []string{"Bytes", "ReadAt", "Open"}},
		{"a flipped byte in a small object before the boot", small, flipByte, true, []string{"Bytes", "ReadAt", "Open", "Size"}},
		{"a flipped byte in a large object before the boot", large, flipByte, true, []string{"ReadAt", "Open", "Size"}},
		{"a small object that a power loss cut", small, cutTail, true, []string{"Bytes", "ReadAt", "Open", "Size"}},
		{"a large object that a power loss cut", large, cutTail, true, []string{"ReadAt", "Open", "Size"}},
		{"a small object without content", small, cutAll, false, []string{"Bytes", "ReadAt", "Open", "Size"}},
		{"a large object without content", large, cutAll, false, []string{"ReadAt", "Open", "Size"}},
	}
	for _, c := range cases {
		for _, by := range c.by {
			t.Run(c.name+" read by "+by, func(t *testing.T) { damagedIsMissing(t, c.size, c.change, c.reboot, readers()[by]) })
		}
	}
}

// damagedIsMissing damages an object of that size, maybe before a reboot, and reads it: it is missing, logged and counted,
// its file is gone, and it can be put again.
func damagedIsMissing(t *testing.T, size int, change func(*os.File) error, reboot bool, read func(*Store, object.ID) bool) {
	t.Helper()
	dir, id, b := stored(t, size)
	s, log := reopen(t, dir, false)
	path := s.disk.path(id)
	damage(t, path, change)
	if reboot {
		s, log = reopen(t, dir, true)
	}
	if read(s, id) {
		t.Fatal("found; want it missing")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if !strings.Contains(log.String(), id.String()) || s.Stats().Mismatches != 1 {
		t.Errorf("logged %q, counted %+v; want one mismatch that names the object", log, s.Stats())
	}
	if err := s.PutBytes(object.Blob, id, b); err != nil {
		t.Fatal(err)
	}
	readsBack(t, s, id, b)
}

func readsBack(t *testing.T, s *Store, id object.ID, want []byte) {
	t.Helper()
	f, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read back %d bytes, %v; want %d", len(got), err, len(want))
	}
}

func TestOldObjectsAreVerifiedOnce(t *testing.T) {
	for name, n := range map[string]int{"small": 1000, "large": SmallMax + 1000} {
		t.Run(name, func(t *testing.T) {
			dir, id, b := stored(t, n)
			s, log := reopen(t, dir, true)
			if size, ok := s.Size(id); !ok || size != int64(n) {
				t.Fatalf("Size = %d, %v; want %d", size, ok, n)
			}
			info, err := os.Stat(s.disk.path(id))
			if err != nil || !s.disk.trusts(info) {
				t.Errorf("not marked as verified: %v, %v", info, err)
			}
			readsBack(t, s, id, b)
			if log.Len() != 0 {
				t.Errorf("logged %q; want nothing", log)
			}
		})
	}
}

func TestOpenSweepsWhatTheDeadLeft(t *testing.T) {
	dir := t.TempDir()
	alive, _ := reopen(t, dir, false)
	dead, err := claimTemp(dir + "/tmp")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dead.path+"/half", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := dead.lock.Close(); err != nil { // what the kernel does for a process that ends
		t.Fatal(err)
	}
	s, _ := reopen(t, dir, false)
	if _, err := os.Stat(dead.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead one's directory is still there: %v", err)
	}
	for name, owner := range map[string]*Store{"older": alive, "newer": s} {
		if _, err := os.Stat(owner.disk.temp.path); err != nil {
			t.Errorf("the %s living Store lost its directory: %v", name, err)
		}
	}
}

func TestEmptiedCacheRecovers(t *testing.T) {
	dir, id, b := stored(t, 1000)
	s, log := reopen(t, dir, false)
	if err := os.Rename(dir, t.TempDir()+"/gone"); err != nil { // to remove it would race with the count
		t.Fatal(err)
	}
	if _, ok := s.Bytes(id); ok {
		t.Fatal("found in an emptied cache")
	}
	if err := s.PutBytes(object.Blob, id, b); err != nil {
		t.Fatal(err)
	}
	readsBack(t, s, id, b)
	if log.Len() != 0 {
		t.Errorf("logged %q; want nothing", log)
	}
}

func TestIDsThatShareAKeyNeverAnswerForEachOther(t *testing.T) {
	m, err := newMemory(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	one, two := object.Sum(object.Blob, []byte("one")), object.Sum(object.Blob, []byte("two"))
	copy(two[:8], one[:8])
	m.add(one, []byte("one"))
	m.cache.Wait()
	if b, ok := m.bytes(two); ok {
		t.Errorf("two = %q; want none", b)
	}
	if b, ok := m.bytes(one); !ok || string(b) != "one" {
		t.Errorf("one = %q, %v", b, ok)
	}
}
