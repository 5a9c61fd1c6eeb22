package tree

import (
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

// Index finds the nodes that the kernel knows by their number. Safe for concurrent use, reads take no lock.
//
// After a takeover it also knows what the kernel was given by the process before: dormant nodes, of which only the number
// and the name are there until somebody makes the node (Wake).
//
// Counting takes no lock either, unless there is a journal or something dormant. Then a lock orders the counts, so that the
// journal has their records in the same order.
type Index struct {
	nodes   *xsync.Map[uint64, *Node]
	journal *Journal // immutable once the index is shared, like the next
	ordered bool     // counts change under mu only

	mu        sync.Mutex          // guards the next three
	dormant   map[uint64]*Dormant // no number is here and in nodes
	forgotten map[uint64]Spot     // directories that the kernel does not know, and that something dormant may be below
	counted   map[uint64][]uint64 // what requests that may come again have counted
	asleep    atomic.Int64        // how many are dormant
}

// NewIndex returns an empty index.
func NewIndex() *Index { return &Index{nodes: xsync.NewMap[uint64, *Node]()} }

// Find returns the node with this number, or nil if the kernel was never given it or has forgotten it.
func (x *Index) Find(ino uint64) *Node {
	n, _ := x.nodes.Load(ino)
	return n
}

// Remember counts that the kernel is being given this node, before the answer leaves, by a request (0: none that could come
// again). It returns the node that stands for the number: another one than n if n is a second name's node of a file with
// several links. If something is dormant under the number, it wakes as n.
//
// A node is in the index for as long as its count is above zero. A Forget may have just counted down to zero without having
// removed it; both settle inside Compute, which orders them: if we come first, Forget sees our count and keeps the node; if
// it comes first, we store the node again, still before the kernel hears of it.
//
// A count above zero may also be one that another Remember has just made inside Compute and not stored yet. Whoever adds to
// it must not return before that is done, or the kernel's next request would not find the node: Compute again waits for it.
func (x *Index) Remember(n *Node, unique uint64) *Node {
	if x.ordered {
		return x.rememberOrdered(n, unique)
	}
	for c := n.lookups.Load(); c > 0; c = n.lookups.Load() {
		if !n.lookups.CompareAndSwap(c, c+1) {
			continue
		}
		if x.Find(n.Ino) != n {
			x.nodes.Compute(n.Ino, func(old *Node, _ bool) (*Node, xsync.ComputeOp) { return old, xsync.CancelOp })
		}
		return n
	}
	known, _ := x.nodes.Compute(n.Ino, func(old *Node, loaded bool) (*Node, xsync.ComputeOp) {
		if !loaded {
			old = n
		}
		old.lookups.Add(1)
		return old, xsync.UpdateOp
	})
	return known
}

// Forget takes back count lookups, and tells whether the kernel now no longer knows the node; then g says what it was.
func (x *Index) Forget(ino uint64, count uint64) (g Gone, gone bool) {
	if x.ordered {
		return x.forgetOrdered(ino, count)
	}
	g.Ino = ino
	n := x.Find(ino)
	if n == nil || n.lookups.Add(-int64(count)) > 0 {
		return g, false
	}
	x.nodes.Compute(ino, func(old *Node, loaded bool) (*Node, xsync.ComputeOp) {
		if !loaded || old.lookups.Load() > 0 {
			return old, xsync.CancelOp
		}
		g.Node, gone = old, true // another node than n if others let go of n, and took up a second name's, meanwhile
		return nil, xsync.DeleteOp
	})
	return g, gone
}

// Canonical returns the node that stands for n's number: n itself, or the one that the kernel knows. It wakes nothing.
func (x *Index) Canonical(n *Node) *Node {
	if known := x.Find(n.Ino); known != nil {
		return known
	}
	return n
}

// Len returns how many nodes the kernel knows, awake or dormant.
func (x *Index) Len() int { return x.nodes.Size() + int(x.asleep.Load()) }

// All calls f for each node that the kernel knows and that is awake, in no order, until f returns false.
func (x *Index) All(f func(*Node) bool) {
	x.nodes.Range(func(_ uint64, n *Node) bool { return f(n) })
}
