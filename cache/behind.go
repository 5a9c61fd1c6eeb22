package cache

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

const (
	// backlog is how many small objects may wait for the disk; with more, whoever puts one writes it. Their bytes are bounded
	// by overflow.
	backlog = 1 << 14
	// lag is how long a small object waits: a job that reads a tree for the first time needs the processors itself, and a file
	// costs 40 to 80 us of one (ext4). What is used later than that is on disk.
	lag = 2 * time.Second
)

// behind writes small objects to disk after those who wait for them have them: creating a file takes longer than fetching
// a small blob from a repository on the same disk. Until an object is written, overflow holds it. A crash loses what waits,
// which is then fetched again.
type behind struct {
	queue chan unwritten
	write func(object.ID, []byte)
	done  sync.WaitGroup

	enough  int64         // bytes; while more of them wait, nothing waits out its lag
	waiting atomic.Int64  // bytes
	pressed atomic.Int32  // how many wait until all is written
	wake    chan struct{} // tells the writer that one of these has changed

	// mu is held for reading around each send, and for writing by close.
	mu     sync.RWMutex
	closed bool // protected by mu
}

type unwritten struct {
	id      object.ID
	b       []byte
	since   time.Time
	written chan<- struct{} // nil, or told when everything queued before is written
}

// newBehind starts the one writer; write is called in the order of put.
func newBehind(enough int64, write func(object.ID, []byte)) *behind {
	w := &behind{queue: make(chan unwritten, backlog), write: write, enough: enough, wake: make(chan struct{}, 1)}
	w.done.Go(func() {
		for u := range w.queue {
			if u.written != nil {
				close(u.written)
				continue
			}
			w.rest(u)
			w.write(u.id, u.b)
			w.waiting.Add(-int64(len(u.b)))
		}
	})
	return w
}

// rest waits until it is time to write the oldest object: then for half the lag no other has to rest, so that the writer wakes
// up seldom.
func (w *behind) rest(u unwritten) {
	if time.Since(u.since) > lag/2 {
		return
	}
	due := time.NewTimer(time.Until(u.since.Add(lag)))
	defer due.Stop()
	for w.pressed.Load() == 0 && w.waiting.Load() <= w.enough {
		select {
		case <-w.wake:
		case <-due.C:
			return
		}
	}
}

func (w *behind) rouse() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// put queues an object; false when it must be written by the caller.
func (w *behind) put(id object.ID, b []byte) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return false
	}
	select {
	case w.queue <- unwritten{id: id, b: b, since: time.Now()}:
		if w.waiting.Add(int64(len(b))) > w.enough {
			w.rouse()
		}
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
	w.press()
	defer w.pressed.Add(-1)
	w.queue <- unwritten{written: written}
	w.mu.RUnlock()
	<-written
}

// press has the writer go on without rest until pressed is taken back.
func (w *behind) press() {
	w.pressed.Add(1)
	w.rouse()
}

// close writes what waits and ends the writer.
func (w *behind) close() {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.mu.Unlock()
	if !closed {
		w.press()
		close(w.queue)
	}
	w.done.Wait()
}
