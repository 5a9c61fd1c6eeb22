package lfs_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/lfs"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

func openStore(t testing.TB, dir string) *cache.Store {
	t.Helper()
	s, err := cache.Open(cache.Config{Dir: dir, MemoryBytes: 8 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// random is n bytes that seed decides.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// pointerTo returns the pointer to a file, and the pointer's id in git.
func pointerTo(b []byte) (lfs.Pointer, object.ID) {
	p := lfs.Pointer{Sum: sha256.Sum256(b), Size: int64(len(b))}
	return p, object.Sum(object.Blob, p.Text())
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shows checks every way to read what an id stands for.
func shows(t *testing.T, s lfs.Store, id object.ID, want []byte) {
	t.Helper()
	if n, ok := s.Size(id); !ok || n != int64(len(want)) {
		t.Errorf("Size = %d, %v, want %d", n, ok, len(want))
	}
	if b, ok := s.Bytes(id); ok != (len(want) <= cache.SmallMax) || ok && !bytes.Equal(b, want) {
		t.Errorf("Bytes = %d bytes, %v, want %d", len(b), ok, len(want))
	}
	for _, off := range []int{0, 1, 50, 120, 143, 144, 4096, len(want) / 2, max(0, len(want)-1), len(want), len(want) + 9} {
		for _, size := range []int{0, 1, 10, 100, 4096} {
			tail := want[min(off, len(want)):]
			p := make([]byte, size)
			n, err := s.ReadAt(id, p, int64(off))
			if err != nil || !bytes.Equal(p[:n], tail[:min(size, len(tail))]) {
				t.Errorf("ReadAt(%d, %d) = %d, %v, want %d bytes", size, off, n, err, min(size, len(tail)))
			}
		}
	}
	f, err := s.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, want) {
		t.Errorf("Open reads %d bytes, %v, want %d", len(b), err, len(want))
	}
}

// misses checks that an id is not there in any way.
func misses(t *testing.T, s lfs.Store, id object.ID) {
	t.Helper()
	if n, ok := s.Size(id); ok {
		t.Errorf("Size = %d", n)
	}
	if b, ok := s.Bytes(id); ok {
		t.Errorf("Bytes = %q", b)
	}
	for _, off := range []int64{0, 100, 4096} {
		if n, err := s.ReadAt(id, make([]byte, 4096), off); !errors.Is(err, cache.ErrMissing) {
			t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
		}
	}
	if f, err := s.Open(id); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("Open = %v, %v", f, err)
	}
}

// TestAPointersIDStandsForTheFile, of which the pointer may be known, or be in memory, or on disk only.
func TestAPointersIDStandsForTheFile(t *testing.T) {
	for name, size := range map[string]int{"tiny": 3, "like a pointer": 130, "small": 5000, "large": cache.SmallMax + 4321} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			store := openStore(t, dir)
			want := random(1, size)
			p, id := pointerTo(want)
			c := lfs.NewContent(store)
			misses(t, c, id)
			ok(t, c.PutBytes(object.Blob, id, p.Text()))
			misses(t, c, id)
			misses(t, lfs.NewContent(store), id)
			if n, err := c.Put(object.Blob, id, int64(size), bytes.NewReader(want)); err != nil || n != int64(size) {
				t.Fatalf("Put = %d, %v", n, err)
			}
			shows(t, c, id, want)
			shows(t, lfs.NewContent(store), id, want)
			shows(t, store, id, p.Text()) // a mount without LFS
			store.Sync()
			shows(t, lfs.NewContent(openStore(t, dir)), id, want)
		})
	}
}

// TestContentLooksFreshEachWay: each method finds out by itself.
func TestContentLooksFreshEachWay(t *testing.T) {
	store := openStore(t, t.TempDir())
	want := random(2, 9000)
	p, id := pointerTo(want)
	ok(t, store.PutBytes(object.Blob, id, p.Text()))
	ok(t, store.PutBytes(object.LFS, p.ID(), want))
	if b, found := lfs.NewContent(store).Bytes(id); !found || !bytes.Equal(b, want) {
		t.Errorf("Bytes = %d bytes, %v", len(b), found)
	}
	if n, found := lfs.NewContent(store).Size(id); !found || n != 9000 {
		t.Errorf("Size = %d, %v", n, found)
	}
	for _, off := range []int64{0, 140, 8000} {
		b := make([]byte, 1000)
		if n, err := lfs.NewContent(store).ReadAt(id, b, off); err != nil || !bytes.Equal(b[:n], want[off:off+1000]) {
			t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
		}
	}
	f, err := lfs.NewContent(store).Open(id)
	ok(t, err)
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || !bytes.Equal(b, want) {
		t.Errorf("Open reads %d bytes, %v", len(b), err)
	}
}

func TestOtherObjectsStayWhatTheyAre(t *testing.T) {
	store := openStore(t, t.TempDir())
	c := lfs.NewContent(store)
	almost := append(random(3, 0), bytes.Replace([]byte(example), []byte("size"), []byte("Size"), 1)...)
	for _, b := range [][]byte{{}, []byte("x"), almost, random(4, 127), random(5, 144), random(6, 4096), random(7, cache.SmallMax+1)} {
		id := object.Sum(object.Blob, b)
		if n, err := c.Put(object.Blob, id, int64(len(b)), bytes.NewReader(b)); err != nil || n != int64(len(b)) {
			t.Fatal(n, err)
		}
		shows(t, c, id, b)
	}
	tree := object.AppendTree(nil, []object.Entry{{Name: "a", Mode: object.ModeFile, ID: object.EmptyBlob}})
	ok(t, c.PutBytes(object.Tree, object.Sum(object.Tree, tree), tree))
	shows(t, c, object.Sum(object.Tree, tree), tree)
	if n, err := c.Put(object.Tree, object.Sum(object.Tree, tree), -1, bytes.NewReader(tree)); err != nil || n != int64(len(tree)) {
		t.Fatal(n, err)
	}
}

// TestDamagedFilesAreRefused: wrong bytes, too few, too many; and bytes of which the store could not know that they are wrong,
// since it knows the beginning of the hash only.
func TestDamagedFilesAreRefused(t *testing.T) {
	for name, size := range map[string]int{"small": 5000, "large": cache.SmallMax + 1} {
		t.Run(name, func(t *testing.T) {
			want := random(8, size)
			p, id := pointerTo(want)
			bad := bytes.Clone(want)
			bad[size/2] ^= 1
			for what, b := range map[string][]byte{"damaged": bad, "cut short": want[:size-1], "too long": append(bytes.Clone(want), 0)} {
				store := openStore(t, t.TempDir())
				c := lfs.NewContent(store)
				ok(t, c.PutBytes(object.Blob, id, p.Text()))
				if n, err := c.Put(object.Blob, id, int64(size), bytes.NewReader(b)); err == nil {
					t.Errorf("%s: Put = %d", what, n)
				}
				if err := c.PutBytes(object.Blob, id, b); !errors.Is(err, cache.ErrMismatch) {
					t.Errorf("%s: PutBytes: %v", what, err)
				}
				misses(t, c, id)
			}
			p.Sum[31] ^= 1 // the object id is the same
			id = object.Sum(object.Blob, p.Text())
			store := openStore(t, t.TempDir())
			c := lfs.NewContent(store)
			ok(t, c.PutBytes(object.Blob, id, p.Text()))
			if n, err := c.Put(object.Blob, id, int64(size), bytes.NewReader(want)); !errors.Is(err, remote.ErrMismatch) {
				t.Errorf("Put = %d, %v", n, err)
			}
			if err := c.PutBytes(object.Blob, id, want); !errors.Is(err, cache.ErrMismatch) {
				t.Errorf("PutBytes: %v", err)
			}
			misses(t, c, id)
		})
	}
}

// TestAFileThatIsThereIsNotReadAgain: several pointers' readers may come at once.
func TestAFileThatIsThereIsNotReadAgain(t *testing.T) {
	c := lfs.NewContent(openStore(t, t.TempDir()))
	want := random(9, 5000)
	p, id := pointerTo(want)
	ok(t, c.PutBytes(object.Blob, id, p.Text()))
	ok(t, c.PutBytes(object.Blob, id, want))
	if n, err := c.Put(object.Blob, id, 5000, iotestErr{}); err != nil || n != 5000 {
		t.Errorf("Put = %d, %v", n, err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("it is read") }

// memory is a Store without a disk, which does not verify.
type memory struct {
	lfs.Store
	all sync.Map
}

func (m *memory) Bytes(id object.ID) ([]byte, bool) {
	b, found := m.all.Load(id)
	if !found {
		return nil, false
	}
	return b.([]byte), true
}

func (m *memory) Size(id object.ID) (int64, bool) {
	b, found := m.Bytes(id)
	return int64(len(b)), found
}

func (m *memory) PutBytes(_ object.Kind, id object.ID, b []byte) error {
	m.all.Store(id, b)
	return nil
}

// TestManyPointersAreForgotten, and found out about again.
func TestManyPointersAreForgotten(t *testing.T) {
	c := lfs.NewContent(&memory{})
	want := random(10, 300)
	p, id := pointerTo(want)
	ok(t, c.PutBytes(object.Blob, id, p.Text()))
	ok(t, c.PutBytes(object.Blob, id, want))
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 10_000 {
				q := lfs.Pointer{Sum: sha256.Sum256([]byte{byte(w)}), Size: int64(i + 1)}
				if err := c.PutBytes(object.Blob, object.Sum(object.Blob, q.Text()), q.Text()); err != nil {
					t.Error(err)
					return
				}
				if b, found := c.Bytes(id); !found || !bytes.Equal(b, want) {
					t.Errorf("%d bytes, %v", len(b), found)
					return
				}
			}
		})
	}
	group.Wait()
}

// TestAFileIsReadWhileItArrives, under the pointer's id; and if it turns out to be wrong, those who read it hear of it.
func TestAFileIsReadWhileItArrives(t *testing.T) {
	c := lfs.NewContent(openStore(t, t.TempDir()))
	want := random(12, 4<<20)
	p, id := pointerTo(want)
	ok(t, c.PutBytes(object.Blob, id, p.Text()))
	bad := bytes.Clone(want)
	bad[1000] ^= 1
	spoiled := 0
	for _, b := range [][]byte{bad, want} {
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := c.Put(object.Blob, id, p.Size, r)
			done <- err
		}()
		_, err := w.Write(b[:3<<20])
		ok(t, err)
		ready, leave := c.Await(id, 2<<20)
		<-ready
		leave()
		part := make([]byte, 1<<20)
		if n, here := c.ReadArriving(id, part, 1<<20, "me", func() { spoiled++ }); !here || !bytes.Equal(part[:n], want[1<<20:2<<20]) {
			t.Fatalf("%d bytes, %v", n, here)
		}
		if _, err := c.ReadAt(id, part, 0); !errors.Is(err, cache.ErrMissing) {
			t.Errorf("it is said to be whole: %v", err)
		}
		_, err = w.Write(b[3<<20:])
		ok(t, err)
		ok(t, w.Close())
		if err := <-done; errors.Is(err, cache.ErrMismatch) != (spoiled > 0) || (err == nil) != bytes.Equal(b, want) {
			t.Errorf("Put: %v, and %d told", err, spoiled)
		}
		if bytes.Equal(b, bad) {
			if spoiled != 1 {
				t.Errorf("%d told that it is wrong", spoiled)
			}
			spoiled = 0
		}
	}
	shows(t, c, id, want)
}

func BenchmarkReadAt(b *testing.B) {
	store := openStore(b, b.TempDir())
	want := random(11, 8192)
	p, pointer := pointerTo(want)
	plain := object.Sum(object.Blob, want)
	for id, text := range map[object.ID][]byte{pointer: p.Text(), plain: want} {
		if err := store.PutBytes(object.Blob, id, text); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.PutBytes(object.LFS, p.ID(), want); err != nil {
		b.Fatal(err)
	}
	c := lfs.NewContent(store)
	for _, bb := range []struct {
		name string
		s    lfs.Store
		id   object.ID
	}{{"without", store, plain}, {"plain", c, plain}, {"pointer", c, pointer}} {
		b.Run(bb.name, func(b *testing.B) {
			buf := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.s.ReadAt(bb.id, buf, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
