package cache

import (
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

// maxHandles bounds the files that are kept open for reading; a reader of one more closes another's.
const maxHandles = 64

// handles are the open files of large objects.
type handles struct {
	mu     sync.Mutex
	open   map[object.ID]*handle // protected by mu
	closed bool                  // protected by mu
}

// handle is one large object's file. once makes the first reader open and, where needed, verify it, while others wait.
type handle struct {
	once sync.Once
	f    *os.File    // written by once, then immutable
	info fs.FileInfo // likewise
	err  error       // likewise
	// ready says that once is over and went well.
	ready atomic.Bool
	used  atomic.Int64 // last read, Unix time in nanoseconds
	noted atomic.Int64 // the last one that touch noted
}

// use notes a read, also on disk if that was not done lately.
func (h *handle) use(d *disk) {
	now := time.Now().UnixNano()
	h.used.Store(now)
	noted := h.noted.Load()
	if now-noted < int64(touchAfter) || !h.noted.CompareAndSwap(noted, now) || noted == 0 { // opening it noted the first
		return
	}
	if info, err := h.f.Stat(); err == nil {
		d.touch(h.f, info)
	}
}

func newHandles() *handles { return &handles{open: make(map[object.ID]*handle)} }

// peek returns the object's handle if it is open already.
func (hs *handles) peek(id object.ID) *handle {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h := hs.open[id]; h != nil && h.ready.Load() {
		return h
	}
	return nil
}

// take returns the object's handle, opened by open when it is new.
func (hs *handles) take(id object.ID, open func(object.ID) (*os.File, fs.FileInfo, error)) (*handle, error) {
	var old *handle
	hs.mu.Lock()
	h := hs.open[id]
	if h == nil && !hs.closed {
		old, h = hs.makeRoom(), new(handle)
		hs.open[id] = h
	}
	hs.mu.Unlock()
	if old != nil {
		old.close()
	}
	if h == nil {
		return nil, ErrMissing // the Store is closed
	}
	h.once.Do(func() {
		h.f, h.info, h.err = open(id)
		h.ready.Store(h.err == nil)
	})
	if h.err != nil {
		hs.forget(id, h)
		return nil, h.err
	}
	return h, nil
}

// makeRoom needs mu. It takes out any one file that is open, for the caller to close: the map's order is random, and
// random replacement is good enough where a mistake costs one open. A reader inside that file finishes first (os.File
// counts them); a later one finds os.ErrClosed and takes a new handle.
func (hs *handles) makeRoom() *handle {
	if len(hs.open) < maxHandles {
		return nil
	}
	for id, h := range hs.open {
		if h.ready.Load() {
			delete(hs.open, id)
			return h
		}
	}
	return nil // all are being opened: as many readers wait, so their number is the bound
}

// closeUnused closes the files that were evicted, by whomever, and not read for a while, since they still take space.
func (hs *handles) closeUnused(unread time.Duration) {
	before := time.Now().Add(-unread).UnixNano()
	hs.mu.Lock()
	var unused []*handle
	for id, h := range hs.open {
		if !h.ready.Load() || h.used.Load() > before {
			continue
		}
		var st syscall.Stat_t
		if syscall.Fstat(int(h.f.Fd()), &st) == nil && st.Nlink == 0 {
			delete(hs.open, id)
			unused = append(unused, h)
		}
	}
	hs.mu.Unlock()
	for _, h := range unused {
		h.close()
	}
}

func (hs *handles) forget(id object.ID, h *handle) {
	hs.mu.Lock()
	if hs.open[id] == h {
		delete(hs.open, id)
	}
	hs.mu.Unlock()
	h.close()
}

func (hs *handles) close() {
	hs.mu.Lock()
	all := hs.open
	hs.open, hs.closed = nil, true
	hs.mu.Unlock()
	for _, h := range all {
		h.close()
	}
}

// close waits for an opening under way, or prevents one.
func (h *handle) close() {
	h.once.Do(func() { h.err = ErrMissing })
	if h.f != nil {
		_ = h.f.Close()
	}
}
