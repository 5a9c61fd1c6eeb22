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

// Remember counts that the kernel is being given this node, before the answer leaves.
//
// A concurrent Forget may have just counted down to zero. Either it has not entered its Compute yet, then it sees our count
// there and keeps the node; or it has deleted the node already, then our count was raised from zero and we store it again,
// still before the kernel hears of it.
func (x *Index) Remember(n *Node) {
	if n.lookups.Add(1) == 1 {
		x.nodes.Store(n.Ino, n)
	}
}

// Forget takes back count lookups, and tells whether the kernel now no longer knows the node.
func (x *Index) Forget(ino uint64, count uint64) (n *Node, gone bool) {
	n = x.Find(ino)
	if n == nil || n.lookups.Add(-int64(count)) > 0 {
		return n, false
	}
	x.nodes.Compute(ino, func(old *Node, loaded bool) (*Node, xsync.ComputeOp) {
		if !loaded || n.lookups.Load() > 0 {
			return old, xsync.CancelOp
		}
		gone = true
		return nil, xsync.DeleteOp
	})
	return n, gone
}

// Len returns how many nodes the kernel knows.
func (x *Index) Len() int { return x.nodes.Size() }

// All calls f for each node that the kernel knows, in no order, until f returns false.
func (x *Index) All(f func(*Node) bool) {
	x.nodes.Range(func(_ uint64, n *Node) bool { return f(n) })
}
