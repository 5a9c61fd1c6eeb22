package cache_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// putting is a Put under way, whose body the test writes.
type putting struct {
	body *io.PipeWriter
	err  chan error
}

func startPut(s *cache.Store, id object.ID, size int) *putting {
	r, w := io.Pipe()
	p := &putting{body: w, err: make(chan error, 1)}
	go func() {
		_, err := s.Put(object.Blob, id, int64(size), r)
		_ = r.CloseWithError(errors.New("the put has ended"))
		p.err <- err
	}()
	return p
}

// send writes a part of the body, and waits until it can be read if it can.
func (p *putting) send(t *testing.T, s *cache.Store, id object.ID, part []byte, end int) {
	t.Helper()
	if _, err := p.body.Write(part); err != nil {
		t.Fatal(err)
	}
	ready, leave := s.Await(id, int64(end))
	defer leave()
	<-ready
}

func (p *putting) end(err error) error {
	_ = p.body.CloseWithError(err) // nil: io.EOF
	return <-p.err
}

// follower is somebody who reads along.
type follower struct{ spoiled int }

func (f *follower) read(s *cache.Store, id object.ID, off, n int) ([]byte, bool) {
	p := make([]byte, n)
	n, ok := s.ReadArriving(id, p, int64(off), f, func() { f.spoiled++ })
	return p[:n], ok
}

const arriving = 4 << 20 // bytes of the objects below

func TestBytesCanBeReadAsTheyArrive(t *testing.T) {
	s, _ := open(t, t.TempDir())
	want := payload(1, arriving)
	id := object.Sum(object.Blob, want)
	var f follower
	if _, ok := f.read(s, id, 0, 10); ok {
		t.Error("read before anybody put it")
	}
	p := startPut(s, id, arriving)
	p.send(t, s, id, want[:1<<20], 1<<20)
	for _, off := range []int{0, 77, 1<<20 - 5000} {
		if got, ok := f.read(s, id, off, 5000); !ok || !bytes.Equal(got, want[off:off+5000]) {
			t.Errorf("at %d: %v, or other bytes", off, ok)
		}
	}
	if _, ok := f.read(s, id, 1<<20-4999, 5000); ok {
		t.Error("read beyond what has arrived")
	}
	if _, ok := s.Size(id); ok {
		t.Error("it has a size before it is whole")
	}
	if file, err := s.Open(id); !errors.Is(err, cache.ErrMissing) {
		t.Errorf("Open = %v, %v; want ErrMissing", file, err)
	}
	last := arriving - 64<<10
	p.send(t, s, id, want[1<<20:], last) // all of it, but the end has not come
	if _, ok := f.read(s, id, last-10, 11); ok {
		t.Error("the end was given before the whole was verified")
	}
	ready, leave := s.Await(id, arriving+5000)
	defer leave()
	if err := p.end(nil); err != nil {
		t.Fatal(err)
	}
	<-ready
	sameObject(t, s, id, want)
	if f.spoiled != 0 {
		t.Error("spoiled")
	}
}

func TestWrongBytesSpoilWhatWasRead(t *testing.T) {
	s, _ := open(t, t.TempDir())
	want := payload(2, arriving)
	id, bad := object.Sum(object.Blob, want), bytes.Clone(want)
	bad[5] ^= 1
	var one, two, none follower
	p := startPut(s, id, arriving)
	p.send(t, s, id, bad, arriving-64<<10)
	for range 3 {
		one.read(s, id, 0, 100)
		two.read(s, id, 1000, 100)
	}
	ready, leave := s.Await(id, arriving)
	defer leave()
	if err := p.end(nil); !errors.Is(err, cache.ErrMismatch) {
		t.Fatalf("Put = %v; want ErrMismatch", err)
	}
	if one.spoiled != 1 || two.spoiled != 1 || none.spoiled != 0 {
		t.Errorf("told %d, %d, %d times; want 1, 1, 0", one.spoiled, two.spoiled, none.spoiled)
	}
	select {
	case <-ready:
		t.Error("the end is said to be here")
	default:
	}
	missing(t, s, id)
	again := startPut(s, id, arriving)
	again.send(t, s, id, want, arriving-64<<10)
	if err := again.end(nil); err != nil {
		t.Fatal(err)
	}
	<-ready // who waited through the failure
	sameObject(t, s, id, want)
	if one.spoiled != 1 {
		t.Error("told again")
	}
}

// TestAnotherTryProvesWhatWasRead: bytes of a try that broke off are right if the next one brings the same.
func TestAnotherTryProvesWhatWasRead(t *testing.T) {
	want := payload(3, arriving)
	id := object.Sum(object.Blob, want)
	reset := errors.New("connection reset")
	for name, bad := range map[string]int{"the same": 0, "other bytes first": 1, "other bytes second": 2} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, t.TempDir())
			var f follower
			for try, n := range []int{2<<20 + 17, 1<<20 + 100_000} { // the second one breaks off earlier
				b := bytes.Clone(want)
				if bad == try+1 {
					b[4000] ^= 1
				}
				p := startPut(s, id, arriving)
				p.send(t, s, id, b[:n], n)
				if _, ok := f.read(s, id, 0, n); !ok {
					t.Fatal("not here")
				}
				if err := p.end(reset); !errors.Is(err, reset) {
					t.Fatal(err)
				}
			}
			if f.spoiled > min(bad, 1) {
				t.Error("spoiled without a proof")
			}
			p := startPut(s, id, arriving)
			p.send(t, s, id, want, arriving-64<<10)
			if f.spoiled != min(bad, 1) {
				t.Errorf("told %d times", f.spoiled)
			}
			if err := p.end(nil); err != nil || f.spoiled != min(bad, 1) {
				t.Errorf("%v, told %d times", err, f.spoiled)
			}
			sameObject(t, s, id, want)
		})
	}
}

// TestBodyThatBreaksIsProvedToItsEnd: also the bytes that were written, and not yet hashed, when it broke off.
func TestBodyThatBreaksIsProvedToItsEnd(t *testing.T) {
	want := payload(6, arriving)
	id, reset := object.Sum(object.Blob, want), errors.New("connection reset")
	for name, spoiled := range map[string]int{"the same": 0, "another last byte": 1} {
		t.Run(name, func(t *testing.T) {
			s, _ := open(t, t.TempDir())
			var f follower
			b := bytes.Clone(want)
			b[arriving/2-1] ^= byte(spoiled)
			p := startPut(s, id, arriving)
			p.send(t, s, id, b[:1000], 1000)
			if _, ok := f.read(s, id, 0, 1000); !ok {
				t.Fatal("not here")
			}
			if _, err := p.body.Write(b[1000 : arriving/2]); err != nil {
				t.Fatal(err)
			}
			if err := p.end(reset); !errors.Is(err, reset) {
				t.Fatal(err)
			}
			again := startPut(s, id, arriving)
			again.send(t, s, id, want, arriving/2)
			if f.spoiled != spoiled {
				t.Errorf("told %d times", f.spoiled)
			}
			if err := again.end(nil); err != nil {
				t.Fatal(err)
			}
			sameObject(t, s, id, want)
		})
	}
}

func TestWhoLeavesIsForgotten(t *testing.T) {
	s, _ := open(t, t.TempDir())
	want := payload(4, arriving)
	id := object.Sum(object.Blob, want)
	_, leave := s.Await(id, 10)
	ready, stay := s.Await(id, 20)
	leave()
	leave() // no harm
	p := startPut(s, id, arriving)
	p.send(t, s, id, want, 10)
	<-ready
	stay()
	if err := p.end(nil); err != nil {
		t.Fatal(err)
	}
}

// TestManyReadersOfArrivingObjects: whatever they read is right, and they all come to the end.
func TestManyReadersOfArrivingObjects(t *testing.T) {
	s, _ := open(t, t.TempDir())
	var group sync.WaitGroup
	for i := range uint64(4) {
		over := make(chan struct{})
		want := payload(i, arriving+int(i))
		id := object.Sum(object.Blob, want)
		for w := range uint64(6) {
			group.Go(func() {
				r, vain := rand.New(rand.NewPCG(i, w)), 0 // tries in a row that got nothing; a reader of a mount gives up after a few
				for off := 0; off < len(want); {
					n := 1 + r.IntN(200_000)
					ready, leave := s.Await(id, int64(off+n))
					select {
					case <-ready:
					case <-over:
					}
					p := make([]byte, n)
					got, ok := s.ReadArriving(id, p, int64(off), w, func() { t.Error("spoiled") })
					if !ok {
						var err error
						if got, err = s.ReadAt(id, p, int64(off)); err != nil {
							got = 0 // between the two: it is being named
						}
					}
					leave()
					if vain++; got > 0 {
						vain = 0
					}
					if vain == 4 {
						t.Errorf("told four times that the bytes at %d are here, and they are not", off)
						return
					}
					if !bytes.Equal(p[:got], want[off:off+got]) || ok && got != min(n, len(want)-off) {
						t.Errorf("%d bytes at %d differ", got, off)
						return
					}
					off += got
				}
			})
		}
		group.Go(func() {
			defer close(over)
			if _, err := s.Put(object.Blob, id, int64(len(want)), bytes.NewReader(want)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// TestAnEmptiedCacheKeepsWhatIsPutAfterwards: another Store that is opened takes the new directory of the first one's unfinished
// files for that of a dead one, unless the first holds it.
func TestAnEmptiedCacheKeepsWhatIsPutAfterwards(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s, _ := open(t, dir)
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	b := payload(1, arriving)
	id := object.Sum(object.Blob, b)
	p := startPut(s, id, len(b))
	p.send(t, s, id, b[:len(b)/2], len(b)/4)
	open(t, dir)
	if _, err := p.body.Write(b[len(b)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := p.end(nil); err != nil {
		t.Fatal(err)
	}
	sameObject(t, s, id, b)
}
