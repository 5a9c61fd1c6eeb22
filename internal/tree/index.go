package tree

import "github.com/puzpuzpuz/xsync/v4"

// Index finds the nodes that the kernel knows by their number. Safe for concurrent use, reads take no lock.
type Index struct {
	nodes *xsync.Map[uint64, *Node]
}

// NewIndex returns an empty index.
func NewIndex() *Index { return &Index{nodes: xsync.NewMap[uint64, *Node]()} }

// Find returns the node with this number, or nil if the kernel was never given it or has forgotten it.
func (x *Index) Find(ino uint64) *Node {
	n, _ := x.nodes.Load(ino)
	return n
}

// Remember counts that the kernel is being given this node, before the answer leaves. It returns the node that stands for
// the number: another one than n if n is a second name's node of a file with several links.
//
// A node is in the index for as long as its count is above zero. A Forget may have just counted down to zero without having
// removed it; both settle inside Compute, which orders them: if we come first, Forget sees our count and keeps the node; if
// it comes first, we store the node again, still before the kernel hears of it.
//
// A count above zero may also be one that another Remember has just made inside Compute and not stored yet. Whoever adds to
// it must not return before that is done, or the kernel's next request would not find the node: Compute again waits for it.
func (x *Index) Remember(n *Node) *Node {
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

// Forget takes back count lookups, and tells whether the kernel now no longer knows the node.
func (x *Index) Forget(ino uint64, count uint64) (n *Node, gone bool) {
	n = x.Find(ino)
	if n == nil || n.lookups.Add(-int64(count)) > 0 {
		return n, false
	}
	x.nodes.Compute(ino, func(old *Node, loaded bool) (*Node, xsync.ComputeOp) {
		if !loaded || old.lookups.Load() > 0 {
			return old, xsync.CancelOp
		}
		n, gone = old, true // another node than n if others let go of n, and took up a second name's, meanwhile
		return nil, xsync.DeleteOp
	})
	return n, gone
}

// Canonical returns the node that stands for n's number: n itself, or the one that the kernel knows.
func (x *Index) Canonical(n *Node) *Node {
	if known := x.Find(n.Ino); known != nil {
		return known
	}
	return n
}

// Len returns how many nodes the kernel knows.
func (x *Index) Len() int { return x.nodes.Size() }

// All calls f for each node that the kernel knows, in no order, until f returns false.
func (x *Index) All(f func(*Node) bool) {
	x.nodes.Range(func(_ uint64, n *Node) bool { return f(n) })
}
