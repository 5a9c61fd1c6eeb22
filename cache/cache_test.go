package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// open opens a Store over dir whose log lines go to the returned buffer.
func open(t *testing.T, dir string) (*cache.Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s, err := cache.Open(cache.Config{Dir: dir, MemoryBytes: 8 << 20, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, &log
}

// payload is n bytes that seed decides.
func payload(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1})
	_, _ = r.Read(b)
	return b
}

func path(dir string, id object.ID) string {
	h := id.String()
	return filepath.Join(dir, "objects", h[:2], h[2:])
}

// files lists the objects and unfinished files below dir.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Dir(p) != dir {
			found = append(found, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// sameObject checks every way to read an object.
func sameObject(t *testing.T, s *cache.Store, id object.ID, want []byte) {
	t.Helper()
	if n, ok := s.Size(id); !ok || n != int64(len(want)) {
		t.Errorf("Size = %d, %v; want %d", n, ok, len(want))
	}
	if b, ok := s.Bytes(id); ok != (len(want) <= cache.SmallMax) || ok && !bytes.Equal(b, want) {
		t.Errorf("Bytes = %d bytes, %v; want the %d put", len(b), ok, len(want))
	}
	for _, off := range []int{0, 1, len(want) / 2, len(want) - 1, len(want), len(want) + 7} {
		if off < 0 {
			continue
		}
		p := make([]byte, 4096)
		n, err := s.ReadAt(id, p, int64(off))
		tail := want[min(off, len(want)):]
		if err != nil || !bytes.Equal(p[:n], tail[:min(len(tail), len(p))]) {
			t.Errorf("ReadAt offset %d = %d, %v; want %d bytes", off, n, err, min(len(tail), len(p)))
		}
	}
	f, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, want) {
		t.Errorf("Open reads %d bytes, %v; want %d", len(b), err, len(want))
	}
}

// missing checks every way to read an object that is not there.
func missing(t *testing.T, s *cache.Store, id object.ID) {
	t.Helper()
	if b, ok := s.Bytes(id); ok {
		t.Errorf("Bytes = %d bytes; want none", len(b))
	}
	if n, err := s.ReadAt(id, make([]byte, 8), 0); n != 0 || !errors.Is(err, cache.ErrMissing) {
		t.Errorf("ReadAt = %d, %v; want ErrMissing", n, err)
	}
	if n, ok := s.Size(id); ok {
		t.Errorf("Size = %d; want none", n)
	}
	if f, err := s.Open(id); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("Open = %v, %v; want ErrMissing", f, err)
	}
}

func TestPutThenRead(t *testing.T) {
	sizes := []int{0, 1, 4095, 4096, cache.SmallMax - 1, cache.SmallMax, cache.SmallMax + 1, 3*cache.SmallMax + 17}
	ways := map[string]func(*cache.Store, object.Kind, object.ID, []byte) error{
		"bytes": func(s *cache.Store, k object.Kind, id object.ID, b []byte) error { return s.PutBytes(k, id, b) },
		"stream of known size": func(s *cache.Store, k object.Kind, id object.ID, b []byte) error {
			return put(s, k, id, int64(len(b)), bytes.NewReader(b), len(b))
		},
		"stream of unknown size": func(s *cache.Store, k object.Kind, id object.ID, b []byte) error {
			return put(s, k, id, -1, iotest.HalfReader(bytes.NewReader(b)), len(b))
		},
	}
	for way, put := range ways {
		for _, kind := range []object.Kind{object.Blob, object.Tree, object.Commit, object.LFS} {
			for i, size := range sizes {
				t.Run(fmt.Sprintf("%s %s of %d", way, kind, size), func(t *testing.T) {
					if (kind == object.Commit || kind == object.LFS) && size == 0 {
						size = 5 // git has no empty commit, and an empty large file is the empty blob
					}
					dir, want := t.TempDir(), payload(uint64(i), size)
					id := object.Sum(kind, want)
					s, _ := open(t, dir)
					if size > 0 {
						missing(t, s, id)
					}
					if err := put(s, kind, id, want); err != nil {
						t.Fatal(err)
					}
					sameObject(t, s, id, want)
					later, _ := open(t, dir)
					sameObject(t, later, id, want)
				})
			}
		}
	}
}

// put is Put with its count checked.
func put(s *cache.Store, k object.Kind, id object.ID, size int64, r io.Reader, want int) error {
	n, err := s.Put(k, id, size, r)
	if err == nil && n != int64(want) {
		return fmt.Errorf("Put = %d bytes; want %d", n, want)
	}
	return err
}

func TestPutRefuses(t *testing.T) {
	broken := errors.New("connection reset")
	const largeSize = 2 * cache.SmallMax
	small, large := payload(1, 1000), payload(2, largeSize)
	part := large[:cache.SmallMax+9]
	blob := func(b []byte) object.ID { return object.Sum(object.Blob, b) }
	breaks := func(b []byte) io.Reader { return io.MultiReader(bytes.NewReader(b), iotest.ErrReader(broken)) }
	cases := []struct {
		name string
		id   object.ID
		size int64
		body io.Reader
		want error
	}{
		{"a small body with a wrong hash", blob(large), 1000, bytes.NewReader(small), cache.ErrMismatch},
		{"a large body with a wrong hash", blob(small), largeSize, bytes.NewReader(large), cache.ErrMismatch},
		{"a large body of unknown size with a wrong hash", blob(small), -1, bytes.NewReader(large), cache.ErrMismatch},
		{"a small body of another kind", object.Sum(object.Tree, small), 1000, bytes.NewReader(small), cache.ErrMismatch},
		{"a short small body", blob(small), 1000, bytes.NewReader(small[:999]), io.ErrUnexpectedEOF},
		{"a short large body", blob(large), largeSize, bytes.NewReader(part), io.ErrUnexpectedEOF},
		{"a large body that ends small", blob(large), largeSize, bytes.NewReader(small), io.ErrUnexpectedEOF},
		{"a long small body", blob(small[:999]), 999, bytes.NewReader(small), cache.ErrMismatch},
		{"a long large body", blob(large[:largeSize-1]), largeSize - 1, bytes.NewReader(large), cache.ErrMismatch},
		{"a small body that breaks", blob(small), 1000, breaks(small[:10]), broken},
		{"a large body that breaks", blob(large), largeSize, breaks(part), broken},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := open(t, dir)
			if _, err := s.Put(object.Blob, c.id, c.size, c.body); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.id.String()) {
				t.Errorf("Put = %v; want %v that names the object", err, c.want)
			}
			missing(t, s, c.id)
			if left := files(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestPutBytesRefusesWrongHash(t *testing.T) {
	s, _ := open(t, t.TempDir())
	id := object.Sum(object.Blob, []byte("one"))
	if err := s.PutBytes(object.Blob, id, []byte("two")); !errors.Is(err, cache.ErrMismatch) {
		t.Errorf("PutBytes = %v; want ErrMismatch", err)
	}
	missing(t, s, id)
	if n := s.Stats().Mismatches; n != 1 {
		t.Errorf("Mismatches = %d; want 1", n)
	}
}

func TestEmptyObjectsNeedNoPut(t *testing.T) {
	s, _ := open(t, t.TempDir())
	sameObject(t, s, object.EmptyBlob, nil)
	sameObject(t, s, object.EmptyTree, nil)
}

func TestReadAtRefusesNegativeOffset(t *testing.T) {
	s, _ := open(t, t.TempDir())
	if _, err := s.ReadAt(object.EmptyBlob, make([]byte, 1), -1); err == nil {
		t.Error("ReadAt at -1 succeeds")
	}
}

func TestMemoryHitsAllocateNothing(t *testing.T) {
	s, _ := open(t, t.TempDir())
	b := payload(3, 1000)
	id := object.Sum(object.Blob, b)
	if err := s.PutBytes(object.Blob, id, b); err != nil {
		t.Fatal(err)
	}
	for s.Stats().MemoryHits == 0 { // ristretto admits in its own time
		if _, ok := s.Bytes(id); !ok {
			t.Fatal("lost")
		}
	}
	disk, p := s.Stats().DiskHits, make([]byte, 500)
	if n := testing.AllocsPerRun(1000, func() { s.Bytes(id) }); n != 0 {
		t.Errorf("Bytes: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.ReadAt(id, p, 100) }); n != 0 {
		t.Errorf("ReadAt: %v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Size(id) }); n != 0 {
		t.Errorf("Size: %v allocations", n)
	}
	if n := s.Stats().DiskHits; n != disk {
		t.Errorf("%d of the reads went to disk", n-disk)
	}
}

func TestMemoryStaysBounded(t *testing.T) {
	s, _ := open(t, t.TempDir()) // 8 MiB
	for i := range uint64(64) {
		b := payload(i, 512<<10)
		if err := s.PutBytes(object.Blob, object.Sum(object.Blob, b), b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint64(64) {
		b := payload(i, 512<<10)
		if got, ok := s.Bytes(object.Sum(object.Blob, b)); !ok || !bytes.Equal(got, b) {
			t.Fatalf("object %d is lost", i)
		}
	}
	if st := s.Stats(); st.Puts != 64 || st.PutBytes != 32<<20 || st.DiskHits < 48 {
		t.Errorf("stats %+v: want 64 puts and at least 48 of 64 reads from disk, as 8 MiB hold 16 objects", st)
	}
}

func TestManyLargeObjectsShareFewOpenFiles(t *testing.T) {
	s, _ := open(t, t.TempDir())
	const objects = 100 // more than are kept open
	ids := make([]object.ID, objects)
	for i := range ids {
		b := payload(uint64(i), cache.SmallMax+1)
		ids[i] = object.Sum(object.Blob, b)
		if _, err := s.Put(object.Blob, ids[i], int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for i, id := range ids {
			p := make([]byte, 8)
			if n, err := s.ReadAt(id, p, 0); err != nil || !bytes.Equal(p[:n], payload(uint64(i), 8)) {
				t.Fatalf("object %d: %x, %v", i, p[:n], err)
			}
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if len(fds) > 90 {
		t.Errorf("%d descriptors open for %d objects", len(fds), objects)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"no directory": "", "a file": file, "a directory below a file": filepath.Join(file, "x")} {
		t.Run(name, func(t *testing.T) {
			s, err := cache.Open(cache.Config{Dir: dir})
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if m := err.Error(); !strings.Contains(m, dir) || !strings.Contains(m, "give it a directory") || strings.Contains(m, "\n") {
				t.Errorf("error %q: want one line with the directory and the remedy", m)
			}
		})
	}
}

func TestClosedStoreReadsButStoresNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := cache.Open(cache.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b := payload(9, 100)
	id := object.Sum(object.Blob, b)
	if err := s.PutBytes(object.Blob, id, b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Bytes(id); !ok || !bytes.Equal(got, b) {
		t.Errorf("after Close: %d bytes, %v; want the disk's copy", len(got), ok)
	}
	other := payload(10, 100)
	if err := s.PutBytes(object.Blob, object.Sum(object.Blob, other), other); err != nil {
		t.Errorf("PutBytes after Close = %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("temp directories left: %v, %v", left, err)
	}
}
