package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

const (
	// SmallMax is the size in bytes up to which an object is kept in memory and verified as a whole; larger ones are
	// streamed to disk and read from there.
	SmallMax = 1 << 20

	// defaultMemory is what Config.MemoryBytes 0 means.
	defaultMemory = 64 << 20
)

var (
	// ErrMissing reports an object that is not cached here, or no longer.
	ErrMissing = errors.New("object is not cached")
	// ErrMismatch reports content that does not hash to the id it was put under.
	ErrMismatch = errors.New("content does not match its id")
	// ErrRepository reports a directory that is a git repository: it has its own objects at the same paths, which would be taken
	// for damaged or old ones.
	ErrRepository = errors.New("it is a git repository: give a cache a directory of its own")
)

// Config says where a Store lives and how much memory it may use.
type Config struct {
	Dir         string       // created when missing; may be shared with other processes
	MemoryBytes int64        // bound of the memory tier, and as much again of what the disk does not have yet; 0: 64 MiB
	DiskBytes   int64        // bound of what all objects in Dir take, above which those used longest ago go; 0: none
	Verify      bool         // hash a large object when it is opened, not once a boot
	Log         *slog.Logger // nil: slog.Default()

	fresh time.Duration // 0: defaultFresh
}

// Store is a content cache. See the package comment.
type Store struct {
	log      *slog.Logger
	mem      *memory
	disk     *disk
	overflow *overflow // what the disk has not taken yet, or would not take
	behind   *behind   // writes small objects to disk
	large    *handles  // open files of large objects
	janitor  *janitor
	verifies bool      // Config.Verify
	arrivals *arrivals // large objects that are being put
	buffers  buffers
	counters counters
	warned   atomic.Bool // of a disk that takes no more objects
}

// Open returns the Store in cfg.Dir. It fails with one line that names the directory and the remedy when nothing can be
// written there, unless that is for want of space.
func Open(cfg Config) (*Store, error) {
	if cfg.MemoryBytes <= 0 {
		cfg.MemoryBytes = defaultMemory
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.fresh == 0 {
		cfg.fresh = defaultFresh
	}
	if err := refuseRepository(cfg.Dir); err != nil {
		return nil, err
	}
	d, err := openDisk(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open cache %s: %w; give it a directory on a writable disk with free space", cfg.Dir, err)
	}
	mem, err := newMemory(cfg.MemoryBytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open cache %s: memory tier: %w", cfg.Dir, err), d.close())
	}
	s := &Store{
		log:      cfg.Log,
		mem:      mem,
		disk:     d,
		overflow: newOverflow(cfg.MemoryBytes),
		large:    newHandles(),
		arrivals: newArrivals(),
		buffers:  newBuffers(),
	}
	s.verifies = cfg.Verify
	s.janitor = newJanitor(s, cfg.DiskBytes, cfg.fresh)
	d.usage.added = s.janitor.added
	s.janitor.start()
	s.behind = newBehind(cfg.MemoryBytes*3/4, func(id object.ID, b []byte) { s.writeOut(id, b) })
	return s, nil
}

// Close writes what waits for the disk, and frees the memory tier, the open files and the Store's temp directory. What is on
// disk stays.
func (s *Store) Close() error {
	s.behind.close()
	s.janitor.stop()
	s.mem.close()
	s.overflow.clear()
	s.large.close()
	if err := s.disk.close(); err != nil {
		return fmt.Errorf("close cache: %w", err)
	}
	return nil
}

// Bytes returns an object's payload from memory, or from disk when it is no larger than SmallMax. The slice is shared:
// it must not be written to.
func (s *Store) Bytes(id object.ID) ([]byte, bool) {
	if b, ok := s.inMemory(id); ok {
		s.counters.memoryHits.Add(1)
		return b, true
	}
	b, err := s.load(id)
	if errors.Is(err, ErrMissing) {
		s.counters.misses.Add(1)
	}
	if err != nil {
		return nil, false
	}
	s.counters.diskHits.Add(1)
	return b, true
}

// ReadAt reads up to len(p) bytes of an object from offset off. It returns fewer only at the object's end, with a nil
// error there and beyond, and ErrMissing when the object is not cached.
func (s *Store) ReadAt(id object.ID, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read object %s: negative offset %d", id, off)
	}
	if b, ok := s.inMemory(id); ok {
		s.counters.memoryHits.Add(1)
		return copyAt(p, b, off), nil
	}
	n, err := s.readDisk(id, p, off)
	switch {
	case err == nil:
		s.counters.diskHits.Add(1)
		return n, nil
	case errors.Is(err, ErrMissing):
		s.counters.misses.Add(1)
		return n, ErrMissing
	default:
		return n, fmt.Errorf("read object %s: %w", id, err)
	}
}

// Size returns an object's size in bytes; false if it is not cached.
func (s *Store) Size(id object.ID) (int64, bool) {
	if b, ok := s.inMemory(id); ok {
		return int64(len(b)), true
	}
	if h := s.large.peek(id); h != nil {
		return h.info.Size(), true
	}
	info, err := os.Stat(s.disk.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false
	}
	if err == nil && s.disk.trusts(info) {
		return info.Size(), true
	}
	f, info, err := s.openTrusted(id)
	if err != nil {
		return 0, false
	}
	_ = f.Close()
	return info.Size(), true
}

// Open returns the object's file in the disk tier, read-only, for a copy-up to clone or copy from; the caller closes it.
// An object that only memory holds is written out first. ErrMissing says that there is no file: Bytes may still have the
// object when the disk is full.
func (s *Store) Open(id object.ID) (*os.File, error) {
	f, err := s.openVerified(id)
	if err == nil {
		return f, nil
	}
	if b, ok := s.inMemory(id); ok && !s.writeOut(id, b) {
		return nil, ErrMissing
	}
	// It is on disk now if it was in memory; if not, it may have gone from there to disk since we looked.
	f, err = s.openVerified(id)
	if err != nil {
		return nil, ErrMissing
	}
	return f, nil
}

// inMemory looks where no system call is needed.
func (s *Store) inMemory(id object.ID) ([]byte, bool) {
	if b, ok := s.mem.bytes(id); ok {
		return b, true
	}
	if empty(id) {
		return []byte{}, true
	}
	return s.overflow.bytes(id)
}

// load reads a small object from disk, verifies it and keeps it in memory.
func (s *Store) load(id object.ID) ([]byte, error) {
	f, info, err := s.disk.open(id)
	if err != nil {
		return nil, s.missing(id, err)
	}
	defer f.Close()
	if info.Size() > SmallMax {
		return nil, errLarge
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, s.unreadable(id, info, err)
	}
	if !matches(id, b) {
		s.drop(id, info)
		return nil, ErrMissing
	}
	if s.disk.trusts(info) {
		s.disk.touch(f, info)
	} else {
		s.disk.vouch(f)
	}
	s.mem.add(id, b)
	return b, nil
}

// errLarge tells load's callers that the object exists and has to be read in place.
var errLarge = errors.New("object is too large for memory")

// missing turns a failure to open into ErrMissing, and says so where it is more than absence.
func (s *Store) missing(id object.ID, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		s.counters.diskErrors.Add(1)
		s.log.Warn("cached object cannot be opened; it will be fetched again", "id", id, "error", err)
	}
	return ErrMissing
}

// unreadable gives up a file that the disk cannot read any more, so that a fresh copy can take its place.
func (s *Store) unreadable(id object.ID, info fs.FileInfo, err error) error {
	s.counters.diskErrors.Add(1)
	s.log.Warn("cached object cannot be read and was deleted; it will be fetched again", "id", id, "error", err)
	s.disk.remove(id, info)
	return ErrMissing
}

// drop deletes a file that does not hold what its name says.
func (s *Store) drop(id object.ID, info fs.FileInfo) {
	s.counters.mismatches.Add(1)
	s.log.Warn("cached object is damaged and was deleted; it will be fetched again", "id", id, "size", info.Size())
	s.disk.remove(id, info)
}

// empty tells whether the object has no content, which no tier needs to hold.
func empty(id object.ID) bool { return id == object.EmptyBlob || id == object.EmptyTree }

// kinds are the kinds that an object of unknown kind may be, the most frequent first.
func kinds() [4]object.Kind {
	return [...]object.Kind{object.Blob, object.Tree, object.LFS, object.Commit}
}

// matches tells whether b is the payload of the object, of whatever kind.
func matches(id object.ID, b []byte) bool {
	for _, kind := range kinds() {
		if object.Sum(kind, b) == id {
			return true
		}
	}
	return false
}

// copyAt copies b from offset off into p.
func copyAt(p, b []byte, off int64) int {
	if off >= int64(len(b)) {
		return 0
	}
	return copy(p, b[off:])
}
