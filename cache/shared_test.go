package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// TestStoresShareADirectory runs readers, writers and a vandal on two Stores over one directory. Whatever is read is
// right; what the vandal broke is missing and can be put again; and what one has, the other has.
func TestStoresShareADirectory(t *testing.T) {
	dir := t.TempDir()
	one, _ := open(t, dir)
	two, _ := open(t, dir)
	bodies := make([][]byte, 40)
	ids := make([]object.ID, len(bodies))
	for i := range bodies {
		size := 100 + i*1000
		if i%10 == 0 {
			size = cache.SmallMax + 1 + i
		}
		bodies[i] = payload(uint64(i), size)
		ids[i] = object.Sum(object.Blob, bodies[i])
	}
	var group sync.WaitGroup
	for w := range uint64(8) {
		store := []*cache.Store{one, two}[w%2]
		group.Go(func() {
			r := rand.New(rand.NewPCG(w, 1))
			for range 300 {
				i := r.IntN(len(ids))
				if err := exercise(r, store, ids[i], bodies[i]); err != nil {
					t.Errorf("object %d: %v", i, err)
					return
				}
				if w == 0 && len(bodies[i]) < cache.SmallMax {
					_ = os.Truncate(path(dir, ids[i]), int64(len(bodies[i])/2))
				}
			}
		})
	}
	group.Wait()
	for _, size := range []int{200, cache.SmallMax + 200} {
		b := payload(100, size)
		id := object.Sum(object.Blob, b)
		if err := one.PutBytes(object.Blob, id, b); err != nil {
			t.Fatal(err)
		}
		one.Sync()
		p := make([]byte, size)
		if n, err := two.ReadAt(id, p, 0); err != nil || !bytes.Equal(p[:n], b) {
			t.Errorf("of %d bytes that one has, the other has %d, %v", size, n, err)
		}
	}
}

// exercise does one random thing to an object and checks what it saw.
func exercise(r *rand.Rand, s *cache.Store, id object.ID, want []byte) error {
	switch r.IntN(4) {
	case 0:
		return s.PutBytes(object.Blob, id, want)
	case 1:
		_, err := s.Put(object.Blob, id, int64(len(want)), bytes.NewReader(want))
		return err
	case 2:
		if b, ok := s.Bytes(id); ok && !bytes.Equal(b, want) {
			return fmt.Errorf("Bytes differ")
		}
	case 3:
		p, off := make([]byte, 3000), r.IntN(len(want))
		n, err := s.ReadAt(id, p, int64(off))
		if errors.Is(err, cache.ErrMissing) {
			return nil
		}
		if end := min(off+len(p), len(want)); err != nil || !bytes.Equal(p[:n], want[off:end]) {
			return fmt.Errorf("ReadAt %d = %d bytes, %w", off, n, err)
		}
	}
	return nil
}

// TestCloseDuringReads stops a Store under its readers: each of them gets the right bytes or none.
func TestCloseDuringReads(t *testing.T) {
	for round := range uint64(20) {
		s, err := cache.Open(cache.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		b := payload(round, 5000)
		id := object.Sum(object.Blob, b)
		if err := s.PutBytes(object.Blob, id, b); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 200 {
					if got, ok := s.Bytes(id); !ok || !bytes.Equal(got, b) {
						t.Error("lost while closing")
					}
				}
			})
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		group.Wait()
	}
}

// TestPutUsesFlatMemory streams an object much larger than what it may allocate.
func TestPutUsesFlatMemory(t *testing.T) {
	s, _ := open(t, t.TempDir())
	const size = 64 << 20
	h := object.NewHash(object.Blob, size)
	if _, err := io.Copy(h, &zeros{size}); err != nil {
		t.Fatal(err)
	}
	var id object.ID
	h.Sum(id[:0])
	for name, announced := range map[string]int64{"known": size, "unknown": -1} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := s.Put(object.Blob, id, announced, &zeros{size}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > size/4 {
			t.Errorf("%s size: %d bytes allocated for an object of %d", name, n, int64(size))
		}
	}
}

// zeros reads as so many zero bytes.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	n := min(len(p), z.left)
	clear(p[:n])
	if z.left -= n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestWhatWaitsForTheDiskIsThere: more objects than memory has room for are put faster than they are written.
func TestWhatWaitsForTheDiskIsThere(t *testing.T) {
	s, err := cache.Open(cache.Config{Dir: t.TempDir(), MemoryBytes: 400 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var ids []object.ID
	for i := range uint64(600) {
		b := payload(i, 8<<10)
		ids = append(ids, object.Sum(object.Blob, b))
		if err := s.PutBytes(object.Blob, ids[i], b); err != nil {
			t.Fatal(err)
		}
		for _, at := range []uint64{i, i / 2, i - min(i, 55)} {
			if _, ok := s.Bytes(ids[at]); !ok {
				t.Fatalf("object %d is not there after %d", at, i)
			}
		}
	}
}
