package cache

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// steps is a body of so many whole buffers; read is called before each of them.
type steps struct {
	left int
	read func()
}

func (s *steps) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	s.read()
	clear(p)
	return len(p), nil
}

// TestBodyWaitsForItsHash: what is not hashed yet takes no more than its few buffers, however long it takes.
func TestBodyWaitsForItsHash(t *testing.T) {
	const count = 3 * spoolBuffers
	as, size := newArrivals(), int64(count*bufferSize)
	f, err := os.Create(filepath.Join(t.TempDir(), "body"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id := object.Sum(object.Blob, make([]byte, size))
	sp := newSpool(f, newBuffers(), object.Blob, size)
	sp.stream = as.begin(id, f, size)
	var reads, most atomic.Int64
	most.Store(spoolBuffers)
	full := make(chan struct{})
	body := &steps{left: count, read: func() {
		n := reads.Add(1)
		if n == spoolBuffers {
			close(full)
		}
		if n > most.Load() {
			t.Error("read on while nothing was hashed")
		}
	}}
	done := make(chan error, 1)
	as.mu.Lock() // the first buffer is hashed, and cannot be told of
	go func() { done <- sp.copy(body) }()
	<-full
	most.Store(count)
	as.mu.Unlock()
	if err := <-done; err != nil || sp.n != size {
		t.Fatalf("%d bytes, %v", sp.n, err)
	}
	if sum, _ := sp.sum(nil); sum != id {
		t.Error("hashed other bytes")
	}
}

// TestManyBodiesShareTheSpareBuffers: each goes on with one if there are no others, and all come back.
func TestManyBodiesShareTheSpareBuffers(t *testing.T) {
	const bodies, count = 3 * spareBuffers, 3
	pool := newBuffers()
	var group sync.WaitGroup
	for range bodies {
		group.Go(func() {
			sp := newSpool(io.Discard, pool, object.Blob, count*bufferSize)
			if err := sp.copy(&steps{left: count, read: func() {}}); err != nil || sp.n != count*bufferSize {
				t.Errorf("%d bytes, %v", sp.n, err)
			}
		})
	}
	group.Wait()
	if n := len(pool.spare); n != 0 {
		t.Errorf("%d are still lent", n)
	}
	for range spareBuffers { // somebody else has all of them
		pool.spare <- struct{}{}
	}
	sp := newSpool(io.Discard, pool, object.Blob, count*bufferSize)
	if err := sp.copy(&steps{left: count, read: func() {}}); err != nil || sp.n != count*bufferSize || sp.taken != 1 {
		t.Errorf("%d bytes with %d buffers, %v", sp.n, sp.taken, err)
	}
}

// failing is a file whose disk takes only so many writes.
type failing struct {
	bytes.Buffer
	writes int
}

var errFailing = errors.New("no more")

// Write writes half of what it fails with, as a disk that gets full does.
func (f *failing) Write(b []byte) (int, error) {
	if f.writes--; f.writes < 0 {
		n, _ := f.Buffer.Write(b[:len(b)/2])
		return n, errFailing
	}
	return f.Buffer.Write(b)
}

// TestNothingIsLostWhereWritingFails: at whichever step it does, what was written, what was read, and what is to come are
// the body.
func TestNothingIsLostWhereWritingFails(t *testing.T) {
	want := make([]byte, 9*bufferSize+77)
	for i := range want {
		want[i] = byte(i >> 8)
	}
	for writes := range 10 {
		w, body := &failing{writes: writes}, bytes.NewReader(want)
		sp := newSpool(w, newBuffers(), object.Blob, int64(len(want)))
		if err := sp.copy(body); err != nil || !errors.Is(sp.failed, errFailing) {
			t.Fatalf("%d writes: %v, %v", writes, err, sp.failed)
		}
		got, err := io.ReadAll(io.MultiReader(bytes.NewReader(w.Bytes()[:sp.n]), bytes.NewReader(sp.rest), body))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d writes: %d bytes, %v; or other ones", writes, len(got), err)
		}
	}
}

// TestNoMoreRoomIsTakenThanNeeded: what is asked for ahead ends with the body.
func TestNoMoreRoomIsTakenThanNeeded(t *testing.T) {
	for size, body := range map[int64]int{2*reserveStep + 5000: 3 * bufferSize, 3*bufferSize + 5000: 3*bufferSize + 5000, -1: bufferSize} {
		f, err := os.Create(filepath.Join(t.TempDir(), "body"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		w := &insistent{f: f, size: size}
		for _, part := range [][]byte{make([]byte, 5000), make([]byte, body-5000)} {
			if n, err := w.Write(part); err != nil || n != len(part) {
				t.Fatal(n, err)
			}
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		limit := max(int64(body), min(size, reserveStep))
		if taken := st.Blocks * 512; st.Size != int64(body) || taken > limit+64<<10 {
			t.Errorf("%d bytes of %d take %d", st.Size, size, taken)
		}
	}
}
