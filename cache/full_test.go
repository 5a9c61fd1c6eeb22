package cache_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// smallDisk mounts a tmpfs of so many bytes for the test's life.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a tmpfs (the tests run as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill writes to a file until the disk is full, but for room bytes.
func fill(t *testing.T, dir string, room int64) {
	t.Helper()
	f, err := os.Create(dir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(info.Size() - room)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskDegradesToMemory(t *testing.T) {
	sizes := map[string]int{"small": 50_000, "large": 2 * cache.SmallMax}
	for name, n := range sizes {
		for how, size := range map[string]int64{"known": int64(n), "unknown": -1} {
			t.Run(name+" of "+how+" size", func(t *testing.T) {
				dir := smallDisk(t, "size=4m")
				s, log := open(t, dir)
				fill(t, dir, 16<<10)
				want := payload(5, n)
				id := object.Sum(object.Blob, want)
				if got, err := s.Put(object.Blob, id, size, iotest.HalfReader(bytes.NewReader(want))); err != nil || got != int64(n) {
					t.Fatalf("Put = %d, %v; want %d", got, err, n)
				}
				inMemoryOnly(t, s, id, want)
				s.Sync() // the line is logged by whoever writes
				if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "no space left") {
					t.Errorf("%d log lines, want one with the cause: %s", lines, log)
				}
				if err := os.Remove(dir + "/filler"); err != nil {
					t.Fatal(err)
				}
				f, err := s.Open(id) // there is room now
				if err != nil {
					t.Fatal(err)
				}
				_ = f.Close()
				later, _ := open(t, dir)
				sameObject(t, later, id, want)
			})
		}
	}
}

// inMemoryOnly checks that reads work and Open has no file to give.
func inMemoryOnly(t *testing.T, s *cache.Store, id object.ID, want []byte) {
	t.Helper()
	if b, ok := s.Bytes(id); !ok || !bytes.Equal(b, want) {
		t.Errorf("Bytes = %d bytes, %v; want %d", len(b), ok, len(want))
	}
	p := make([]byte, 100)
	if n, err := s.ReadAt(id, p, 1000); err != nil || !bytes.Equal(p[:n], want[1000:1100]) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if n, ok := s.Size(id); !ok || n != int64(len(want)) {
		t.Errorf("Size = %d, %v; want %d", n, ok, len(want))
	}
	if f, err := s.Open(id); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("Open = %v, %v; want ErrMissing", f, err)
	}
}

// TestDiskThatGetsFullBelowAReader: what was read along before stays right, and the object ends up in memory.
func TestDiskThatGetsFullBelowAReader(t *testing.T) {
	dir := smallDisk(t, "size=16m")
	s, _ := open(t, dir)
	fill(t, dir, 3<<20)
	want := payload(9, 5<<20)
	id := object.Sum(object.Blob, want)
	var f follower
	p := startPut(s, id, len(want))
	p.send(t, s, id, want[:2<<20], 2<<20)
	if got, ok := f.read(s, id, 1<<20, 1<<20); !ok || !bytes.Equal(got, want[1<<20:2<<20]) {
		t.Errorf("%v, or other bytes", ok)
	}
	ready, leave := s.Await(id, int64(len(want)))
	defer leave()
	if _, err := p.body.Write(want[2<<20:]); err != nil {
		t.Fatal(err)
	}
	if err := p.end(nil); err != nil {
		t.Fatal(err)
	}
	<-ready
	if f.spoiled != 0 {
		t.Error("spoiled")
	}
	inMemoryOnly(t, s, id, want)
}

func TestFullDiskStillVerifies(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	s, _ := open(t, dir)
	fill(t, dir, 16<<10)
	b := payload(6, 2*cache.SmallMax)
	for name, size := range map[string]int64{"known": int64(len(b)), "unknown": -1} {
		if _, err := s.Put(object.Blob, object.Sum(object.Tree, b), size, bytes.NewReader(b)); !errors.Is(err, cache.ErrMismatch) {
			t.Errorf("Put of %s size = %v; want ErrMismatch", name, err)
		}
	}
}

func TestFullDiskKeepsTheLatestObjects(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	s, log := open(t, dir) // 8 MiB of memory
	fill(t, dir, 0)
	for i := range uint64(40) {
		b := payload(i, 500<<10)
		id := object.Sum(object.Blob, b)
		if err := s.PutBytes(object.Blob, id, b); err != nil {
			t.Fatal(err)
		}
		if got, ok := s.Bytes(id); !ok || !bytes.Equal(got, b) {
			t.Fatalf("object %d is lost right after it was put", i)
		}
	}
	s.Sync()
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d log lines for 40 failures; want 1", lines)
	}
	if n := s.Stats().DiskErrors; n != 40 {
		t.Errorf("DiskErrors = %d; want 40", n)
	}
}

func TestObjectThatFitsNowhereIsAnError(t *testing.T) {
	dir := smallDisk(t, "size=4m")
	s, _ := open(t, dir)
	b := payload(7, 9<<20)
	id := object.Sum(object.Blob, b)
	if _, err := s.Put(object.Blob, id, int64(len(b)), bytes.NewReader(b)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Put = %v; want ENOSPC", err)
	}
	missing(t, s, id)
	for _, f := range files(t, dir) {
		t.Errorf("left behind: %s", f)
	}
}

func TestReadOnlyDiskIsRefused(t *testing.T) {
	dir := smallDisk(t, "size=1m")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"its root": dir, "a directory to make": dir + "/cache"} {
		t.Run(name, func(t *testing.T) {
			s, err := cache.Open(cache.Config{Dir: dir})
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %q: want EROFS with the directory", err)
			}
		})
	}
}
