package cache

import (
	"errors"
	"os"
	"sync"

	"github.com/antares-actor/antares-actor/internal/object"
)

const (
	// heldBack is how many bytes at the end of a large object nobody gets before the whole is verified, so that nobody reads
	// a damaged one to its end.
	heldBack = 64 << 10

	// maxProofs and maxArrivals bound what is remembered of tries that failed: for an object, and of objects.
	maxProofs   = 64
	maxArrivals = 1024
)

// arrivals are the large objects that are being put, and what somebody waits for or has read of others.
type arrivals struct {
	mu  sync.Mutex
	all map[object.ID]*arrival // protected by mu
}

// arrival is one object. What is in it is protected by arrivals.mu.
type arrival struct {
	id     object.ID
	file   *os.File // what has arrived; nil while nobody puts the object
	size   int64
	here   int64 // bytes from the start that may be read
	queue  []*waiter
	given  map[any]func() // who got bytes that are not verified, and how to tell them that these are wrong
	proofs []proof        // of tries that failed and whose bytes were given
}

// waiter waits until the bytes before end are here.
type waiter struct {
	end   int64
	ready chan struct{}
}

// proof is what a prefix of an object hashed to. A later try that brings the same bytes shows that they were right so far.
type proof struct {
	n   int64
	sum object.ID // of git's header and n bytes
}

func newArrivals() *arrivals { return &arrivals{all: make(map[object.ID]*arrival)} }

// get needs mu.
func (as *arrivals) get(id object.ID) *arrival {
	a := as.all[id]
	if a == nil {
		a = &arrival{id: id, given: make(map[any]func())}
		as.all[id] = a
	}
	return a
}

// tidy needs mu. It forgets an object that nobody is interested in.
func (as *arrivals) tidy(a *arrival) {
	if a.file == nil && len(a.queue) == 0 && len(a.given) == 0 && as.all[a.id] == a {
		delete(as.all, a.id)
	}
}

// Await returns a channel that is closed when the bytes of an object before end can be read: by ReadArriving while it is
// being put, or like any other. Nothing closes it if the put fails, or does not come. The caller calls leave in the end.
func (s *Store) Await(id object.ID, end int64) (ready <-chan struct{}, leave func()) {
	as, w := s.arrivals, &waiter{end: end, ready: make(chan struct{})}
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.get(id)
	a.queue = append(a.queue, w)
	a.wake(false)
	return w.ready, func() {
		as.mu.Lock()
		defer as.mu.Unlock()
		for i, other := range a.queue {
			if other == w {
				a.queue = append(a.queue[:i], a.queue[i+1:]...)
				break
			}
		}
		as.tidy(a)
	}
}

// ReadArriving is ReadAt for an object that is being put, and false when not all of the bytes are here. They are not verified
// yet. If they turn out to be wrong, spoiled is called before the put returns; there is one for each key.
func (s *Store) ReadArriving(id object.ID, p []byte, off int64, key any, spoiled func()) (int, bool) {
	s.arrivals.mu.Lock()
	a := s.arrivals.all[id]
	if a == nil || a.file == nil || off < 0 || !a.has(off+int64(len(p))) {
		s.arrivals.mu.Unlock()
		return 0, false
	}
	a.given[key] = spoiled
	f, n := a.file, min(int64(len(p)), max(0, a.size-off))
	s.arrivals.mu.Unlock()
	if _, err := f.ReadAt(p[:n], off); err != nil { // closed: the put has ended, one way or the other
		return 0, false
	}
	s.counters.diskHits.Add(1)
	return int(n), true
}

func (a *arrival) has(end int64) bool { return min(end, a.size) <= a.here }

// wake tells those whose bytes are here, or all.
func (a *arrival) wake(all bool) {
	if a.file == nil && !all {
		return
	}
	left := a.queue[:0]
	for _, w := range a.queue {
		if all || a.has(w.end) {
			close(w.ready)
		} else {
			left = append(left, w)
		}
	}
	clear(a.queue[len(left):])
	a.queue = left
}

// spoil needs mu, which it lets go of while it tells those who got bytes.
func (as *arrivals) spoil(a *arrival) {
	given := a.given
	a.given, a.proofs = make(map[any]func()), nil
	as.mu.Unlock()
	for _, tell := range given {
		tell()
	}
	as.mu.Lock()
}

// stream is the putter's end of an arrival; a nil one does nothing.
type stream struct {
	as *arrivals
	a  *arrival
	// check is a copy of the proofs.
	check []proof
}

// begin makes an object that is being written to f readable; nil if somebody else puts the same.
func (as *arrivals) begin(id object.ID, f *os.File, size int64) *stream {
	as.mu.Lock()
	defer as.mu.Unlock()
	a := as.get(id)
	if a.file != nil {
		return nil
	}
	a.file, a.size, a.here = f, size, 0
	return &stream{as: as, a: a, check: append([]proof(nil), a.proofs...)}
}

// next returns where the next proof ends that n bytes have not reached; -1 if there is none.
func (st *stream) next(n int64) int64 {
	at := int64(-1)
	if st == nil {
		return at
	}
	for _, p := range st.check {
		if p.n > n && (at < 0 || p.n < at) {
			at = p.n
		}
	}
	return at
}

// prove compares the hash of the first n bytes with what earlier tries brought.
func (st *stream) prove(n int64, sum object.ID) {
	for _, p := range st.check {
		if p.n == n && p.sum != sum {
			st.check = nil
			st.as.mu.Lock()
			st.as.spoil(st.a)
			st.as.mu.Unlock()
			return
		}
	}
}

// advance says that n bytes have been written.
func (st *stream) advance(n int64) {
	if st == nil {
		return
	}
	st.as.mu.Lock()
	defer st.as.mu.Unlock()
	st.a.here = min(n, st.a.size-heldBack)
	st.a.wake(false)
}

// closing says that the file is about to be closed and given its name. Whoever wants bytes in between waits for the end: told
// that they are here he would find them nowhere, again and again.
func (st *stream) closing() {
	if st == nil {
		return
	}
	st.as.mu.Lock()
	defer st.as.mu.Unlock()
	st.a.here = 0
}

// end says how the put went. so is what had been written by then.
func (st *stream) end(err error, so proof) {
	if st == nil {
		return
	}
	as, a := st.as, st.a
	as.mu.Lock()
	defer as.mu.Unlock()
	a.file, a.here = nil, 0
	switch {
	case err == nil:
		clear(a.given)
		a.proofs = nil
		a.wake(true)
	case errors.Is(err, ErrMismatch) || len(a.proofs) >= maxProofs || len(as.all) > maxArrivals:
		as.spoil(a)
	case len(a.given) > 0:
		a.proofs = append(a.proofs, so)
	}
	as.tidy(a)
}
