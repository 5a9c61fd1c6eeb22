package actors

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// core is what the actors of one mount share. Its fields are immutable once the mount is attached, or safe for concurrent
// use.
type core struct {
	log     *slog.Logger
	stage   *stage
	workers chan struct{}  // one token a running worker; bounds copies and listings
	working sync.WaitGroup // this mount's workers: upper is in use until they are done
	index   *tree.Index
	root    *tree.Node
	upper   *layer.Passthrough
	fixed   bool // MountSpec.Fixed; immutable
	local   *layer.Local
	dicfuse *layer.Dicfuse
	pins    *pins          // of the dicfuse actor
	moved   func(Switched) // MountSpec.Moved; immutable
	source  *source
	spoils  spoils
	conn    atomic.Pointer[Conn] // nil until attached

	// unlisted says that the kernel may know names in directories whose tables are not there: those of a process before this
	// one, or of a table that a panic made be forgotten.
	unlisted atomic.Bool

	journal *tree.Journal          // nil: the mount ends with this process
	doubts  map[uint64]tree.Intent // what the process before this one had begun and not answered, by request; immutable

	ctx    context.Context // of what is read for the mount as a whole; ended by stop
	cancel context.CancelFunc

	dicfuseActor *handle
	upperActor   *handle
	copyUp       *handle
	notifier     *handle
	loader       *handle
	prefetcher   *handle  // nil if nothing is fetched ahead
	profile      *profile // nil if what the job reads is not recorded
	regions      regions
}

// layerOf returns the layer that a state points to.
func (c *core) layerOf(s *tree.State) layer.Layer {
	if s.Where == tree.Upper {
		return c.upper
	}
	if _, ok := s.Local(); ok {
		return c.local
	}
	return c.dicfuse
}

// work runs f in a bounded worker. f sends its own fact; if it panics, failed does.
func (c *core) work(f func(), failed func()) {
	c.working.Go(func() {
		c.workers <- struct{}{}
		defer func() { <-c.workers }()
		defer func() {
			if r := recover(); r != nil {
				c.log.Error("worker panicked", slog.Any("reason", r))
				failed()
			}
		}()
		f()
	})
}

// regions counts a mount's regions and keeps their addresses for the end. The mount's own regions start new ones, so the
// list is a lock-free stack.
type regions struct {
	count atomic.Uint32
	top   atomic.Pointer[regionLink]
}

type regionLink struct {
	*handle
	next *regionLink
}

func (r *regions) push(h *handle) {
	link := &regionLink{handle: h}
	for {
		link.next = r.top.Load()
		if r.top.CompareAndSwap(link.next, link) {
			return
		}
	}
}

func (r *regions) all() []*handle {
	var hs []*handle
	for l := r.top.Load(); l != nil; l = l.next {
		hs = append(hs, l.handle)
	}
	return hs
}

// spawnRegion starts a region and returns the owner of what it will own.
func (c *core) spawnRegion() *tree.Owner {
	h := c.stage.spawn("region", c.regions.count.Add(1), func(self *handle) behaviour { return newRegion(c, self) })
	c.regions.push(h)
	return &h.Owner
}
