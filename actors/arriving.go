package actors

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// readArriving reads a large file of the origin while it is being fetched; false if the bytes are not here yet.
func (f *FS) readArriving(n *tree.Node, s *tree.State, p []byte, off int64) (int, bool) {
	r := reader{weak.Make(f.core), n.Ino}
	return f.core.source.content.ReadArriving(s.Object, p, off, r, r.spoiled)
}

// reader is a file as the content store knows it while it is being fetched. If that fails the store may keep it until somebody
// fetches the object again, which must not keep a mount that has ended.
type reader struct {
	core weak.Pointer[core]
	ino  uint64
}

func (r reader) spoiled() {
	if c := r.core.Value(); c != nil {
		c.spoils.add(r.ino)
		c.notifier.Tell(&invalidateInode{Ino: r.ino})
	}
}

// fetchPart brings a lower file's content here, and returns when the bytes before end are. The fetch goes on then, and this
// request stays one of those that wait for it: whoever read a part mostly reads the next, and in between nobody asks.
func (f *FS) fetchPart(who Caller, s *tree.State, end int64) error {
	ready, leave := f.core.source.content.Await(s.Object, end)
	defer leave()
	m := &fetchBlob{Source: f.core.source, ID: s.Object}
	m.early = ready
	return f.ask(who, &f.core.loader.Owner, m)
}

// spoilTime is how long reads fail after one of a spoiled file has failed. The kernel reads ahead, tells nobody of an error
// then, and reads again when somebody asks for the bytes: that one must fail, too.
const spoilTime = time.Second

// spoils are the files of which somebody got bytes that were wrong. There are no file handles, so nobody knows who goes on
// reading one; but that goes on behind the beginning. So such reads fail, from the first one on for spoilTime. A read of the
// beginning begins anew.
type spoils struct {
	count atomic.Int64 // of inodes; what all reads look at
	until sync.Map     // inode number: *atomic.Int64, Unix time in nanoseconds at which it is forgotten, 0 before the first read
}

func (s *spoils) add(ino uint64) {
	if _, had := s.until.Swap(ino, new(atomic.Int64)); !had {
		s.count.Add(1)
	}
}

func (s *spoils) remove(ino uint64) {
	if _, had := s.until.LoadAndDelete(ino); had {
		s.count.Add(-1)
	}
}

// check returns an error for a read at off that may go on behind what was wrong.
func (s *spoils) check(ino uint64, off int64, clock func() time.Time) error {
	if s.count.Load() == 0 {
		return nil
	}
	v, ok := s.until.Load(ino)
	if !ok {
		return nil
	}
	now, until := clock(), v.(*atomic.Int64)
	until.CompareAndSwap(0, now.Add(spoilTime).UnixNano())
	if off == 0 || now.UnixNano() > until.Load() {
		s.remove(ino)
		return nil
	}
	return fmt.Errorf("%w: what was read before was damaged", ErrOrigin)
}
