package cache

import (
	"hash"
	"io"
	"sync"

	"github.com/antares-actor/antares-actor/internal/object"
)

// bufferSize is the step of streams: large enough that system calls vanish beside SHA-1.
const bufferSize = 128 << 10

// buffers lends the steps' memory.
type buffers struct{ pool *sync.Pool }

func newBuffers() buffers {
	return buffers{pool: &sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}}
}

func (b buffers) take() *[]byte    { return b.pool.Get().(*[]byte) }
func (b buffers) give(buf *[]byte) { b.pool.Put(buf) }

// spool copies one body to a writer, hashes it on the way when its size, with which git's hash starts, is known, and
// remembers enough for another to continue when the writer fails.
type spool struct {
	w      io.Writer
	h      hash.Hash // nil: the size is not known yet
	max    int64     // stop one byte after it; -1: no bound
	n      int64     // bytes written
	failed error     // of w
	rest   []byte    // read when w failed, and not written; aliases the buffer
	stream *stream   // those who read along
}

func newSpool(w io.Writer, kind object.Kind, size int64) *spool {
	sp := &spool{w: w, max: size}
	if size >= 0 {
		sp.h = object.NewHash(kind, size)
	}
	return sp
}

// copy runs until the body ends, exceeds max, or the writer fails; the error is the reader's.
func (sp *spool) copy(r io.Reader, buf []byte) error {
	for sp.max < 0 || sp.n <= sp.max {
		n, err := r.Read(buf)
		if n > 0 {
			if _, sp.failed = sp.w.Write(buf[:n]); sp.failed != nil {
				sp.rest = buf[:n]
				return nil
			}
			sp.took(buf[:n])
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
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
