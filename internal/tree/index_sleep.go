package tree

import "maps"

// Gone is what the kernel has let go of: a node, or what was dormant under its number.
type Gone struct {
	Ino     uint64
	Node    *Node    // nil if it was dormant
	Dormant *Dormant // nil if it was awake
}

// Attach has the index record each lookup that it counts; with nil nothing. Before the index is shared.
func (x *Index) Attach(j *Journal) { x.journal, x.ordered = j, x.ordered || j != nil }

// Sleep gives the index what a journal says: the nodes, dormant, and what requests counted. They are the index's from now
// on. Before the index is shared; the root must not be among the nodes.
func (x *Index) Sleep(r *Recovered) {
	x.ordered = true
	x.dormant, x.forgotten, x.counted = r.Nodes, r.Forgotten, maps.Clone(r.Counted)
	x.asleep.Store(int64(len(x.dormant)))
	if x.forgotten == nil {
		x.forgotten = make(map[uint64]Spot)
	}
}

// Dormant returns a copy of what is dormant under a number; if somebody woke it since the caller looked, the node instead.
// Both are nil if the kernel does not know the number.
func (x *Index) Dormant(ino uint64) (*Dormant, *Node) {
	if x.asleep.Load() == 0 {
		return nil, x.Find(ino)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if d := x.dormant[ino]; d != nil {
		out := *d
		return &out, nil
	}
	return nil, x.Find(ino)
}

// Forgotten tells where a directory stands that the kernel has forgotten, and that something dormant may be below.
func (x *Index) Forgotten(ino uint64) (Spot, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at, ok := x.forgotten[ino]
	return at, ok
}

// Knows tells whether the kernel knows a number, awake or dormant.
func (x *Index) Knows(ino uint64) bool {
	if x.Find(ino) != nil {
		return true
	}
	d, n := x.Dormant(ino)
	return d != nil || n != nil
}

// Wake puts n in the place of what is dormant under its number, with the lookups of that, and returns the node that stands
// for the number: of several callers one's. If nothing is dormant there, it is Canonical.
func (x *Index) Wake(n *Node) *Node {
	if x.asleep.Load() == 0 {
		return x.Canonical(n)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake(n)
	return x.Canonical(n)
}

// wake is Wake for those who hold mu. A dormant file may have been found by another of its names than the journal has. What
// is of another type is another file that got the number of one that is gone: the record that the kernel had forgotten that
// one was lost.
func (x *Index) wake(n *Node) {
	d := x.dormant[n.Ino]
	if d == nil {
		return
	}
	x.drop(n.Ino)
	if d.Type != n.Type {
		x.journal.forgot(n.Ino, uint64(d.Count))
		return
	}
	n.lookups.Store(d.Count)
	x.nodes.Store(n.Ino, n)
	if p := n.Place(); !n.State().Orphan && (d.Orphan != nil || parentOf(p) != d.Parent || p.Name != d.Name) {
		x.journal.Moved(n)
	}
}

func (x *Index) drop(ino uint64) {
	delete(x.dormant, ino)
	x.asleep.Store(int64(len(x.dormant)))
	if len(x.dormant) == 0 {
		x.dormant, x.forgotten = nil, nil // a map keeps the memory of what it once had
	}
}

// Unremember takes back one lookup that Remember counted for a request that fails after all.
func (x *Index) Unremember(ino, unique uint64) (g Gone, gone bool) {
	if !x.ordered {
		return x.Forget(ino, 1)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.record(ino, func() { x.journal.taken(unique, []uint64{ino}) })
	return x.countDown(ino, 1)
}

// TakeBack takes back the lookups that a request counted in an earlier process, since it is going to count them again, and
// returns what the kernel does not know without them. It does so once.
func (x *Index) TakeBack(unique uint64) (gone []Gone) {
	x.mu.Lock()
	defer x.mu.Unlock()
	inos := x.counted[unique]
	if len(inos) == 0 {
		return nil
	}
	delete(x.counted, unique)
	x.journal.taken(unique, inos)
	for _, ino := range inos {
		if g, is := x.countDown(ino, 1); is {
			gone = append(gone, g)
		}
	}
	return gone
}

// rememberOrdered is Remember with a journal, or with dormant nodes.
func (x *Index) rememberOrdered(n *Node, unique uint64) *Node {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.wake(n)
	if known := x.Find(n.Ino); known != nil {
		known.lookups.Add(1)
		x.record(n.Ino, func() { x.journal.again(unique, n.Ino) })
		return known
	}
	n.lookups.Store(1)
	x.nodes.Store(n.Ino, n)
	delete(x.forgotten, n.Ino)
	x.record(n.Ino, func() { x.journal.known(unique, n) })
	return n
}

func (x *Index) forgetOrdered(ino, count uint64) (Gone, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.record(ino, func() { x.journal.forgot(ino, count) })
	return x.countDown(ino, count)
}

// record leaves out the root, which is always there.
func (x *Index) record(ino uint64, write func()) {
	if ino != RootIno {
		write()
	}
}

// countDown takes back lookups. The caller holds mu.
func (x *Index) countDown(ino, count uint64) (g Gone, gone bool) {
	g.Ino = ino
	if d := x.dormant[ino]; d != nil {
		if d.Count -= int64(count); d.Count > 0 {
			return g, false
		}
		x.drop(ino)
		if IsDir(d.Type) && d.Orphan == nil {
			x.forget(ino, d.spot())
		}
		g.Dormant = d
		return g, true
	}
	n := x.Find(ino)
	if n == nil || n.lookups.Add(-int64(count)) > 0 {
		return g, false
	}
	n.lookups.Store(0)
	x.nodes.Delete(ino)
	if n.IsDir() && !n.State().Orphan {
		p := n.Place()
		x.forget(ino, Spot{Parent: parentOf(p), Name: p.Name})
	}
	g.Node = n
	return g, true
}

// forget remembers where a directory stands that the kernel has forgotten. The caller holds mu.
func (x *Index) forget(ino uint64, at Spot) {
	if len(x.dormant) > 0 {
		x.forgotten[ino] = at
	}
}
