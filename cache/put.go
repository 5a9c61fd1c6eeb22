package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// PutBytes stores an object whose payload is b, which the Store shares from then on. Content that does not hash to the id
// gives ErrMismatch and leaves nothing. When it returns, the object can be read; a small one reaches the disk soon after,
// by Sync or Close at the latest.
func (s *Store) PutBytes(kind object.Kind, id object.ID, b []byte) error {
	if object.Sum(kind, b) != id {
		return s.mismatch(id)
	}
	if len(b) <= SmallMax {
		s.mem.add(id, b)
	}
	switch {
	case empty(id):
	case len(b) <= SmallMax && s.overflow.hold(id, b) && s.behind.put(id, b):
	case !s.writeOut(id, b) && !s.overflow.add(id, b):
		return fmt.Errorf("put object %s: %d bytes fit neither on disk nor in memory", id, len(b))
	}
	s.stored(int64(len(b)))
	return nil
}

// Sync returns when the objects put before it are on disk, or in memory where the disk failed.
func (s *Store) Sync() { s.behind.sync() }

// Put stores an object from a stream of size bytes (-1: not known) and returns how many there were. A body that ends
// early gives io.ErrUnexpectedEOF, one that does not hash to the id ErrMismatch; both leave nothing. Objects above
// SmallMax pass through a few buffers, whatever their size, and can be read as they come (ReadArriving) if it is known.
func (s *Store) Put(kind object.Kind, id object.ID, size int64, r io.Reader) (int64, error) {
	if size > SmallMax {
		return s.putLarge(kind, id, size, r)
	}
	head, err := readHead(r, size)
	if err != nil {
		return 0, fmt.Errorf("put object %s: %w", id, err)
	}
	if n := int64(len(head)); n <= SmallMax {
		if err := checkLength(id, n, size); err != nil {
			return 0, err
		}
		return n, s.PutBytes(kind, id, head)
	}
	return s.putLarge(kind, id, size, io.MultiReader(bytes.NewReader(head), r))
}

// readHead reads what Put needs to decide by: a small body whole, with a byte more to see that it ends there.
func readHead(r io.Reader, size int64) ([]byte, error) {
	limit := size + 1
	if size < 0 {
		limit = SmallMax + 1
	}
	var buf bytes.Buffer
	if size >= 0 {
		buf.Grow(int(limit) + bytes.MinRead) // so that ReadFrom never moves it
	}
	_, err := buf.ReadFrom(io.LimitReader(r, limit))
	return buf.Bytes(), err
}

// checkLength compares a body's length with the size that was announced.
func checkLength(id object.ID, n, size int64) error {
	switch {
	case size >= 0 && n < size:
		return fmt.Errorf("put object %s: body ends after %d of %d bytes: %w", id, n, size, io.ErrUnexpectedEOF)
	case size >= 0 && n > size:
		return fmt.Errorf("put object %s: body is longer than its %d bytes: %w", id, size, ErrMismatch)
	}
	return nil
}

// putLarge spools to a temp file and gives it the object's name once it has proved itself.
func (s *Store) putLarge(kind object.Kind, id object.ID, size int64, r io.Reader) (_ int64, err error) {
	f, err := s.disk.create()
	if err != nil && s.janitor.makeRoom(err, max(size, 0), s.emergency(size)) {
		f, err = s.disk.create()
	}
	if err != nil {
		return s.keep(kind, id, size, r, err)
	}
	defer s.disk.discard(f) // finds nothing once the file has been published
	w := &insistent{f: f, janitor: s.janitor, emergency: s.emergency(size), size: size}
	sp := newSpool(w, s.buffers, kind, size)
	if size > SmallMax {
		sp.stream = s.arrivals.begin(id, f, size)
		defer func() { sp.stream.end(err, sp.soFar()) }()
	}
	if err := sp.copy(r); err != nil {
		return 0, fmt.Errorf("put object %s: after %d bytes: %w", id, sp.n, err)
	}
	if sp.failed != nil { // memory takes over what was written, what was read, and what is to come
		read := io.MultiReader(io.NewSectionReader(f, 0, sp.n), bytes.NewReader(sp.rest), r)
		return s.keep(kind, id, size, read, sp.failed)
	}
	if err := checkLength(id, sp.n, size); err != nil {
		return 0, err
	}
	sum, err := sp.sum(func() (object.ID, error) { return sumOf(f, kind, sp.n, s.buffers) })
	if err != nil {
		return 0, fmt.Errorf("put object %s: read back: %w", id, err)
	}
	if sum != id {
		return 0, s.mismatch(id)
	}
	s.disk.vouch(f) // it may have come slowly, and would look as if it had not been used since it began to
	sp.stream.closing()
	err = s.disk.publish(f, id, sp.n)
	if err != nil && s.janitor.makeRoom(err, block, s.emergency(sp.n)) {
		err = s.disk.place(f.Name(), id, sp.n)
	}
	if err != nil {
		return s.keepFile(kind, id, f.Name(), sp.n, err)
	}
	s.stored(sp.n)
	return sp.n, nil
}

// roomForSmall is how much room is made for a small object on a full disk: others will follow.
const roomForSmall = 16 * SmallMax

// emergency tells whether an object of this size, -1 if it is not known, would not fit into memory.
func (s *Store) emergency(size int64) bool { return size < 0 || size > s.overflow.limit }

// insistent writes to a file, and makes room when the disk is full.
type insistent struct {
	f       *os.File
	janitor *janitor
	// emergency: see makeRoom.
	emergency bool

	size         int64 // of what is to come in all; -1: not known
	written      int64
	reserved     int64 // bytes that the disk has found room for
	unreservable bool
}

// reserveStep is how much room is asked for at once: a body that breaks off soon takes no more.
const reserveStep = 64 << 20

// Write implements io.Writer.
func (w *insistent) Write(b []byte) (n int, err error) {
	for w.reserved < min(w.written+int64(len(b)), w.size) && !w.unreservable {
		w.reserve()
	}
	for {
		k, err := w.f.Write(b[n:])
		w.written += int64(k)
		if n += k; err == nil || !w.janitor.makeRoom(err, roomForSmall, w.emergency) {
			return n, err
		}
	}
}

// reserve has the disk find room for the next bytes together: ext4 then takes half the processor time for writing them, which
// else looks for each block. Where it cannot, writing says whether there is room.
func (w *insistent) reserve() {
	step := min(reserveStep, w.size-w.reserved)
	w.unreservable = unix.Fallocate(int(w.f.Fd()), unix.FALLOC_FL_KEEP_SIZE, w.reserved, step) != nil
	w.reserved += step
}

// keepFile is keep for a temp file that is complete, but could not be given its name.
func (s *Store) keepFile(kind object.Kind, id object.ID, name string, size int64, cause error) (int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, fmt.Errorf("put object %s: %w", id, cause)
	}
	defer f.Close()
	return s.keep(kind, id, size, f, cause)
}

// keep puts a large object into memory, since the disk failed with cause.
func (s *Store) keep(kind object.Kind, id object.ID, size int64, r io.Reader, cause error) (int64, error) {
	s.diskFailed(cause)
	b, err := io.ReadAll(io.LimitReader(r, s.overflow.limit+1))
	if err != nil {
		return 0, fmt.Errorf("put object %s: %w", id, err)
	}
	n := int64(len(b))
	if n > s.overflow.limit {
		return 0, fmt.Errorf("put object %s: too large for memory: %w", id, cause)
	}
	if err := checkLength(id, n, size); err != nil {
		return 0, err
	}
	if object.Sum(kind, b) != id {
		return 0, s.mismatch(id)
	}
	s.overflow.add(id, b)
	s.stored(n)
	return n, nil
}

// writeOut brings a verified payload to disk and tells whether it is there.
func (s *Store) writeOut(id object.ID, b []byte) bool {
	if s.disk.has(id) {
		s.overflow.remove(id)
		return true
	}
	err := s.disk.write(id, b)
	if err != nil && s.janitor.makeRoom(err, roomForSmall, false) {
		err = s.disk.write(id, b)
	}
	if err != nil {
		s.diskFailed(err)
		return false
	}
	s.overflow.remove(id)
	return true
}

func (s *Store) mismatch(id object.ID) error {
	s.counters.mismatches.Add(1)
	return fmt.Errorf("put object %s: %w", id, ErrMismatch)
}

func (s *Store) stored(n int64) {
	s.counters.puts.Add(1)
	s.counters.putBytes.Add(uint64(n))
}

// diskFailed warns once in the Store's life: on a full disk every fetch would, and Stats counts them.
func (s *Store) diskFailed(err error) {
	if errors.Is(err, os.ErrClosed) {
		return // the end of the Store, not of the disk
	}
	if s.counters.diskErrors.Add(1); s.warned.CompareAndSwap(false, true) {
		s.log.Warn("cache disk takes no more objects; keeping them in memory, and fetching again what that cannot hold",
			"error", err)
	}
}
