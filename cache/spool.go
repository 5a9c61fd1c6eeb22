package cache

import (
	"hash"
	"io"
	"sync"

	"github.com/antares-actor/antares-actor/internal/object"
)

const (
	// bufferSize is the step of streams: large enough that system calls and wake-ups vanish beside SHA-1, and as much as one
	// READ of the kernel's.
	bufferSize = 1 << 20

	// spoolBuffers is how many steps of one body are under way at most. With two, one side often waits for a core though the
	// other could go on; more than four bring nothing (1 GiB from the same machine, 2 cores).
	spoolBuffers = 4

	// spareBuffers is how many all bodies together have beyond their first. Many at once use all cores without.
	spareBuffers = 12
)

// buffers lends the steps' memory.
type buffers struct {
	pool  *sync.Pool
	spare chan struct{} // a token for each spare one that is lent
}

func newBuffers() buffers {
	return buffers{
		pool:  &sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }},
		spare: make(chan struct{}, spareBuffers),
	}
}

func (b buffers) take() *[]byte    { return b.pool.Get().(*[]byte) }
func (b buffers) give(buf *[]byte) { b.pool.Put(buf) }

// spool copies one body to a writer, hashes it on the way when its size, with which git's hash starts, is known, and
// remembers enough for another to continue when the writer fails. SHA-1 takes as long as all the rest, and has a goroutine of
// its own; so a body flows in two steps, with a few buffers between them:
//
//	body -> buffer -> file             copy, in the putter's goroutine
//	        buffer -> hash -> readers  account; only now do those who read along hear of it
//
// Whoever is faster waits for the other, so the memory is the same for any body. When copy returns, both are done, and what
// the second wrote is the first's to read.
type spool struct {
	w      io.Writer
	max    int64  // stop one byte after it; -1: no bound
	failed error  // of w
	rest   []byte // read when w failed, and not all of it written

	pool  buffers
	taken int          // buffers of the pool
	free  chan *[]byte // those of them that nobody uses

	// account's, until copy returns
	h      hash.Hash // nil: the size is not known yet
	n      int64     // bytes written, and hashed
	stream *stream   // those who read along
}

// piece is a part of the body, in a buffer of its own.
type piece struct {
	buf *[]byte
	n   int
}

func (p piece) bytes() []byte { return (*p.buf)[:p.n] }

func newSpool(w io.Writer, b buffers, kind object.Kind, size int64) *spool {
	sp := &spool{w: w, max: size, pool: b, free: make(chan *[]byte, spoolBuffers)}
	if size >= 0 {
		sp.h = object.NewHash(kind, size)
	}
	return sp
}

// copy runs until the body ends, exceeds max, or the writer fails; the error is the reader's.
func (sp *spool) copy(r io.Reader) error {
	written, done := make(chan piece, spoolBuffers), make(chan struct{})
	go func() {
		defer close(done)
		sp.account(written)
	}()
	defer func() {
		close(written)
		<-done
		for len(sp.free) > 0 {
			sp.pool.give(<-sp.free)
		}
		for ; sp.taken > 1; sp.taken-- {
			<-sp.pool.spare
		}
	}()
	for n := int64(0); sp.max < 0 || n <= sp.max; {
		p := piece{buf: sp.buffer()}
		var err error
		p.n, err = r.Read(*p.buf)
		if p.n > 0 {
			if _, sp.failed = sp.w.Write(p.bytes()); sp.failed != nil {
				sp.rest = p.bytes()
				return nil
			}
			n += int64(p.n)
		}
		written <- p
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// account hashes what was written, and gives its buffers back.
func (sp *spool) account(written <-chan piece) {
	for p := range written {
		sp.took(p.bytes())
		sp.free <- p.buf
	}
}

// buffer waits for one that is free if the body has all that it gets.
func (sp *spool) buffer() *[]byte {
	if len(sp.free) > 0 || sp.taken == spoolBuffers {
		return <-sp.free
	}
	if sp.taken > 0 {
		select {
		case sp.pool.spare <- struct{}{}:
		default:
			return <-sp.free
		}
	}
	sp.taken++
	return sp.pool.take()
}

// took counts and hashes what was written.
func (sp *spool) took(b []byte) {
	for at := sp.stream.next(sp.n); at > 0 && at <= sp.n+int64(len(b)); at = sp.stream.next(sp.n) {
		part := b[:at-sp.n]
		sp.add(part)
		sp.stream.prove(at, sp.soFar().sum)
		b = b[len(part):]
	}
	sp.add(b)
	sp.stream.advance(sp.n)
}

func (sp *spool) add(b []byte) {
	sp.n += int64(len(b))
	if sp.h != nil {
		sp.h.Write(b)
	}
}

// soFar is the proof of what was written.
func (sp *spool) soFar() proof {
	p := proof{n: sp.n}
	if sp.h != nil {
		sp.h.Sum(p.sum[:0])
	}
	return p
}

// sum is the id of what was copied; reread computes it when it could not be hashed on the way.
func (sp *spool) sum(reread func() (object.ID, error)) (object.ID, error) {
	if sp.h == nil {
		return reread()
	}
	var id object.ID
	sp.h.Sum(id[:0])
	return id, nil
}
