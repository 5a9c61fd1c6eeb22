package tree_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestIndexCountsLookups(t *testing.T) {
	x, n := tree.NewIndex(), node(5)
	if x.Find(5) != nil || x.Len() != 0 {
		t.Fatal("not empty")
	}
	for range 3 {
		if got := x.Remember(n, 0); got != n {
			t.Fatalf("%p stands for %p", got, n)
		}
	}
	if _, gone := x.Forget(5, 2); gone || x.Find(5) != n {
		t.Error("gone while one lookup is left")
	}
	if g, gone := x.Forget(5, 1); !gone || g.Node != n || x.Find(5) != nil || x.Len() != 0 {
		t.Error("not gone with the last lookup")
	}
	if _, gone := x.Forget(5, 1); gone {
		t.Error("gone twice")
	}
	if x.Remember(n, 0) != n || x.Find(5) != n {
		t.Error("a forgotten node cannot come back")
	}
}

func TestIndexHasOneNodeANumber(t *testing.T) {
	x, first, second := tree.NewIndex(), node(5), node(5)
	if x.Canonical(second) != second {
		t.Error("nobody stands for an unknown number but itself")
	}
	x.Remember(first, 0)
	if x.Remember(second, 0) != first || x.Canonical(second) != first {
		t.Error("the second name's node became another inode")
	}
	if _, gone := x.Forget(5, 1); gone {
		t.Error("the second lookup did not count")
	}
	if _, gone := x.Forget(5, 1); !gone {
		t.Error("one lookup too many")
	}
}

func TestIndexAll(t *testing.T) {
	x := tree.NewIndex()
	for i := range uint64(10) {
		x.Remember(node(i+1), 0)
	}
	n := 0
	x.All(func(*tree.Node) bool { n++; return n < 4 })
	if n != 4 {
		t.Errorf("went on to %d after false", n)
	}
}

// Each goroutine takes and gives back lookups of a few numbers through two nodes a number. A number that somebody holds
// must be found, by the node that Remember gave; in the end none is known, and each was let go of as often as it was
// taken up.
func TestIndexUnderContention(t *testing.T) {
	x := tree.NewIndex()
	const numbers, rounds = 3, 20_000
	var nodes [numbers][2]*tree.Node
	for i := range nodes {
		nodes[i] = [2]*tree.Node{node(uint64(i) + 1), node(uint64(i) + 1)}
	}
	var gone atomic.Int64
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range rounds {
				n := nodes[i%numbers][(i/numbers+g)%2]
				held := x.Remember(n, 0)
				if found := x.Find(n.Ino); found != held {
					t.Errorf("held %p, found %p", held, found)
					return
				}
				if i%5 == 0 {
					x.Remember(n, 0)
					x.Forget(n.Ino, 1)
				}
				if _, last := x.Forget(n.Ino, 1); last {
					gone.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if x.Len() != 0 || gone.Load() == 0 {
		t.Errorf("%d numbers are still known, %d times gone", x.Len(), gone.Load())
	}
}
