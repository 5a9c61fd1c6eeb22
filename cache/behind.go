package cache

import (
	"sync"

	"github.com/antares-actor/antares-actor/internal/object"
)

// backlog is how many small objects may wait for the disk; with more, whoever puts one writes it. Together with SmallMax it
// bounds the memory that waits, and a file creation costs 0.1 to 0.5 ms (ext4, 2 vCPU), so that it is a tenth of a second.
const backlog = 256

// behind writes small objects to disk after those who wait for them have them: creating a file takes longer than fetching
// a small blob from a repository on the same disk. Until an object is written, overflow holds it. A crash loses what waits,
// which is then fetched again.
type behind struct {
	queue chan unwritten
	write func(object.ID, []byte)
	done  sync.WaitGroup

	// mu is held for reading around each send, and for writing by close.
	mu     sync.RWMutex
	closed bool // protected by mu
}

type unwritten struct {
	id      object.ID
	b       []byte
	written chan<- struct{} // nil, or told when everything queued before is written
}

// newBehind starts the one writer; write is called in the order of put.
func newBehind(write func(object.ID, []byte)) *behind {
	w := &behind{queue: make(chan unwritten, backlog), write: write}
	w.done.Go(func() {
		for u := range w.queue {
			if u.written != nil {
				close(u.written)
				continue
			}
			w.write(u.id, u.b)
		}
	})
	return w
}

// put queues an object; false when it must be written by the caller.
func (w *behind) put(id object.ID, b []byte) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return false
	}
	select {
	case w.queue <- unwritten{id: id, b: b}:
		return true
	default:
		return false
	}
}

// sync returns when everything put before it is written.
func (w *behind) sync() {
	written := make(chan struct{})
	w.mu.RLock()
	if w.closed {
		w.mu.RUnlock()
		return
	}
	w.queue <- unwritten{written: written}
	w.mu.RUnlock()
	<-written
}

// close writes what waits and ends the writer.
func (w *behind) close() {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if !closed {
		close(w.queue)
	}
	w.done.Wait()
}
