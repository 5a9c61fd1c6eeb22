package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

// large is a file of some MiB without a pattern.
func large() string {
	b := make([]byte, 5<<20+123)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return string(b)
}

// tap is a blob's body that comes when the test says so.
type tap struct {
	ctx  context.Context
	b    []byte
	more chan int // bytes that may come; closed: all
	left int
	fail error // instead of the end
}

func (t *tap) Read(p []byte) (int, error) {
	if len(t.b) == 0 {
		return 0, io.EOF
	}
	if t.left == 0 {
		select {
		case n, ok := <-t.more:
			if t.left = n; !ok && t.fail != nil {
				return 0, t.fail
			}
			if !ok {
				t.left = len(t.b)
			}
		case <-t.ctx.Done():
			return 0, t.ctx.Err()
		}
	}
	n := copy(p, t.b[:min(t.left, len(t.b))])
	t.b, t.left = t.b[n:], t.left-n
	return n, nil
}

// comes has the origin's blobs come by taps; change makes each one what the test wants.
func (o *fakeOrigin) comes(change func(*tap)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.body = func(ctx context.Context, b []byte) io.Reader {
		t := &tap{ctx: ctx, b: b, more: make(chan int)}
		change(t)
		return t
	}
}

// largeRig mounts one large file, whose size the kernel knows. The request that told it is over: who reads would join it.
func largeRig(t *testing.T, opts ...option) (*rig, uint64, string) {
	text := large()
	r := newRig(t, append(opts, withFiles(map[string]file{"large": {object.ModeFile, text}}))...)
	ino := r.ino("large")
	r.settleLoader()
	return r, ino, text
}

// part reads a part of a file.
func (k *kernel) part(ino uint64, off, n int) (string, error) {
	p := make([]byte, n)
	n, err := k.fs.Read(nobodyWaits, ino, p, int64(off))
	return string(p[:n]), err
}

func TestALargeFileIsReadWhileItIsFetched(t *testing.T) {
	r, ino, text := largeRig(t)
	asked, more := r.origin.count("blob"), make(chan int)
	r.origin.comes(func(t *tap) { t.more = more })
	var group sync.WaitGroup
	for i := range 8 { // they all wait for the first part
		group.Go(func() {
			if got, err := r.part(ino, i*1000, 100_000); err != nil || got != text[i*1000:][:100_000] {
				t.Errorf("%v, or other bytes", err)
			}
		})
	}
	more <- 2 << 20
	group.Wait()
	end := make(chan error)
	go func() {
		got, err := r.part(ino, len(text)-100, 200)
		if err == nil && got != text[len(text)-100:] {
			err = errors.New("other bytes")
		}
		end <- err
	}()
	more <- len(text) // all, but not yet verified
	close(more)
	check(t, <-end)
	if n := r.origin.count("blob") - asked; n != 1 {
		t.Errorf("%d fetches", n)
	}
	r.wantText("large", text)
	if told := r.bridge.last().tells(); len(told) > 0 {
		t.Errorf("the kernel was told %v", told)
	}
}

// TestAFileIsFetchedOnceThoughItsSizeIsAskedForFirst: the answer that told its size stays open for who reads it next.
func TestAFileIsFetchedOnceThoughItsSizeIsAskedForFirst(t *testing.T) {
	text := large()
	r := newRig(t, withFiles(map[string]file{"large": {object.ModeFile, text}}), withLinger)
	if a, err := r.fs.Getattr(nobodyWaits, r.ino("large")); err != nil || a.Size != int64(len(text)) {
		t.Fatal(a.Size, err)
	}
	r.wantText("large", text)
	if n := r.origin.count("blob"); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestAMountEndsThoughALargeFileIsKeptOpen for who may read it.
func TestAMountEndsThoughALargeFileIsKeptOpen(t *testing.T) {
	r := newRig(t, withFiles(map[string]file{"large": {object.ModeFile, large()}}), withLinger)
	r.ino("large")
	check(t, r.mount.Unmount(t.Context()))
}

// tells returns what the kernel was told.
func (c *fakeConn) tells() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.told)
}

// TestADamagedFileIsNotReadToItsEnd: who got damaged bytes gets an error next, whether he waits for more when the damage is
// found or comes later; the kernel forgets the bytes; and who begins anew gets the right ones.
func TestADamagedFileIsNotReadToItsEnd(t *testing.T) {
	r, ino, text := largeRig(t)
	more := make(chan int)
	r.origin.comes(func(t *tap) {
		t.b, t.more = bytes.Clone(t.b), more
		t.b[7] ^= 1
	})
	go func() { more <- 2 << 20 }()
	if got, err := r.part(ino, 0, 1000); err != nil || got == text[:1000] {
		t.Fatalf("%v, or nothing is damaged", err)
	}
	waits := make(chan error)
	go func() {
		_, err := r.part(ino, 4<<20, 2<<20)
		waits <- err
	}()
	close(more)
	wantErr(t, "who waits for the end", <-waits, ErrOrigin)
	r.origin.comes(func(t *tap) { close(t.more) })
	_, err := r.part(ino, 1000, 1000)
	wantErr(t, "who comes back for more", err, ErrOrigin)
	forget := []string{"inode " + strconv.FormatUint(ino, 10)}
	waitFor(t, "the kernel to be told", func() bool { return slices.Equal(r.bridge.last().tells(), forget) })
	r.wantText("large", text)
	if _, err := r.part(ino, 1000, 1000); err != nil {
		t.Errorf("after a read from the beginning: %v", err)
	}
}

// TestAKilledReaderBreaksNobody: neither those that wait with it, nor the fetch.
func TestAKilledReaderBreaksNobody(t *testing.T) {
	r, ino, text := largeRig(t)
	asked, more := r.origin.count("blob"), make(chan int)
	r.origin.comes(func(t *tap) { t.more = more })
	others := make(chan error)
	go func() {
		got, err := r.part(ino, 3<<20, 1000)
		if err == nil && got != text[3<<20:][:1000] {
			err = errors.New("other bytes")
		}
		others <- err
	}()
	more <- 1 << 20
	who, leave := leaver()
	leave()
	_, err := r.fs.Read(who, ino, make([]byte, 1000), 2<<20)
	wantErr(t, "the killed one", err, ErrInterrupted)
	close(more)
	check(t, <-others)
	if n := r.origin.count("blob") - asked; n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestReadersOfManyPartsAreFewWaiters: a fetch does not remember each part that somebody has read, and goes on between two
// reads though another reader is killed meanwhile.
func TestReadersOfManyPartsAreFewWaiters(t *testing.T) {
	most := 0
	var asks atomic.Int64
	var under atomic.Pointer[flight]
	r, ino, text := largeRig(t, withProbe(func(_ string, msg any) func() {
		switch m := msg.(type) {
		case *sizeLearnt:
			under.Store(m.Flight)
		case *fetchBlob:
			return func() {
				asks.Add(1)
				if f := under.Load(); f != nil {
					most = max(most, len(f.waiters))
				}
			}
		}
		return nil
	}))
	asked, more := r.origin.count("blob"), make(chan int)
	r.origin.comes(func(t *tap) { t.more = more })
	const size = 64 << 10
	for off := 0; off < 4<<20; off += size {
		before, came := asks.Load(), make(chan error)
		go func() {
			got, err := r.part(ino, off, size)
			if err == nil && got != text[off:][:size] {
				err = errors.New("other bytes")
			}
			came <- err
		}()
		waitFor(t, "its request", func() bool { return asks.Load() > before })
		more <- size
		check(t, <-came)
	}
	who, leave := leaver()
	leave()
	_, err := r.fs.Read(who, ino, make([]byte, size), 4<<20)
	wantErr(t, "the killed one", err, ErrInterrupted)
	close(more)
	if got, err := r.part(ino, 4<<20, size); err != nil || got != text[4<<20:][:size] {
		t.Errorf("%v, or other bytes", err)
	}
	if n := r.origin.count("blob") - asked; n != 1 {
		t.Errorf("%d fetches", n)
	}
	r.settleLoader()
	if most == 0 || most > 3 {
		t.Errorf("%d wait, of one reader", most)
	}
}

// TestAPromotionWaitsForTheWholeFile while others read what is here.
func TestAPromotionWaitsForTheWholeFile(t *testing.T) {
	r, ino, text := largeRig(t)
	more := make(chan int)
	r.origin.comes(func(t *tap) { t.more = more })
	wrote := make(chan error)
	go func() { wrote <- second(r.fs.Write(nobodyWaits, ino, []byte("!"), 0, false)) }()
	more <- 2 << 20
	if got, err := r.part(ino, 0, 1000); err != nil || got != text[:1000] {
		t.Errorf("%v, or other bytes", err)
	}
	close(more)
	check(t, <-wrote)
	r.wantText("large", "!"+text[1:])
}

func TestASpoiledFileIsRefusedForAWhile(t *testing.T) {
	var s spoils
	now := time.Unix(1_000, 0)
	clock := func() time.Time { return now }
	s.add(5)
	s.add(5)
	now = now.Add(time.Hour) // nobody has asked
	steps := []struct {
		ino   uint64
		off   int64
		later time.Duration
		want  error
	}{
		{6, 10, 0, nil}, {5, 10, 0, ErrOrigin}, {5, 10, spoilTime, ErrOrigin}, {5, 10, 1, nil}, {5, 10, 0, nil},
	}
	for i, step := range steps {
		now = now.Add(step.later)
		wantErr(t, fmt.Sprint("step ", i), s.check(step.ino, step.off, clock), step.want)
	}
	s.add(5)
	wantErr(t, "the beginning", s.check(5, 0, clock), nil)
	wantErr(t, "after it", s.check(5, 10, clock), nil)
	if n := s.count.Load(); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}
