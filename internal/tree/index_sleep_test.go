package tree_test

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// takenOver returns an index over what a small journal says, and the journal.
func takenOver(t *testing.T) (*tree.Index, *tree.Journal, func() *tree.Recovered) {
	t.Helper()
	f := small(t)
	j, r := load(t, f)
	x := tree.NewIndex()
	x.Attach(j)
	x.Sleep(r)
	return x, j, func() *tree.Recovered {
		t.Helper()
		if err := j.Flush(); err != nil {
			t.Fatal(err)
		}
		_, r := load(t, f)
		return r
	}
}

func TestIndexKnowsDormantNodes(t *testing.T) {
	x, _, _ := takenOver(t)
	d, n := x.Dormant(11)
	if n != nil || d == nil || d.Name != "file" || d.Parent != 10 || d.Type != unix.S_IFREG || d.Count != 3 || d.Orphan != nil {
		t.Errorf("%+v %v", d, n)
	}
	if d, _ := x.Dormant(14); d == nil || d.Orphan == nil {
		t.Error("the orphan is none")
	}
	if x.Len() != 4 || !x.Knows(11) || x.Knows(12) || x.Find(11) != nil {
		t.Error("what is dormant is not told from what is not there")
	}
	x.All(func(n *tree.Node) bool { t.Errorf("%d is awake", n.Ino); return true })
}

func TestIndexWakesANodeWithItsLookups(t *testing.T) {
	x, _, journal := takenOver(t)
	n := child(11, unix.S_IFREG, child(10, unix.S_IFDIR, nil, ""), "file")
	if x.Canonical(n) != n || x.Find(11) != nil {
		t.Error("Canonical woke it")
	}
	if x.Wake(n) != n || x.Find(11) != n || x.Wake(child(11, unix.S_IFREG, nil, "")) != n || x.Len() != 4 {
		t.Error("not awake")
	}
	if d, awake := x.Dormant(11); d != nil || awake != n {
		t.Error("still dormant")
	}
	if stranger := child(99, unix.S_IFREG, nil, ""); x.Wake(stranger) != stranger || x.Knows(99) {
		t.Error("woke what nobody knew")
	}
	x.Remember(n, 500)
	if _, gone := x.Forget(11, 3); gone {
		t.Error("gone while a lookup is left")
	}
	if got := journal(); got.Nodes[11].Count != 1 || len(got.Counted[500]) != 1 {
		t.Errorf("the journal has %+v", got.Nodes[11])
	}
	if g, gone := x.Forget(11, 1); !gone || g.Node != n || g.Dormant != nil || x.Knows(11) {
		t.Error("not gone")
	}
	if got := journal(); got.Nodes[11] != nil {
		t.Error("the journal still has it")
	}
}

func TestIndexForgetsDormantNodes(t *testing.T) {
	x, _, journal := takenOver(t)
	if _, gone := x.Forget(11, 2); gone || x.Len() != 4 {
		t.Error("gone while a lookup is left")
	}
	g, gone := x.Forget(14, 1)
	if !gone || g.Ino != 14 || g.Node != nil || g.Dormant == nil || g.Dormant.Orphan == nil || x.Len() != 3 {
		t.Errorf("%+v %v", g, gone)
	}
	if _, gone := x.Forget(14, 1); gone {
		t.Error("gone twice")
	}
	for _, ino := range []uint64{10, 11, 13} {
		if _, gone := x.Forget(ino, 1); !gone {
			t.Errorf("%d is not gone", ino)
		}
	}
	if got := journal(); len(got.Nodes) != 0 || x.Len() != 0 {
		t.Error("not empty")
	}
}

// A request that counted lookups and comes again must not have counted them twice.
func TestIndexTakesBackWhatARequestCounted(t *testing.T) {
	x, _, journal := takenOver(t)
	awake := x.Wake(child(11, unix.S_IFREG, child(10, unix.S_IFDIR, nil, ""), "file"))
	x.Remember(awake, 600)
	gone := x.TakeBack(101) // 12 (forgotten since), 13, 14, 11, 11
	if len(gone) != 2 || gone[0].Ino != 13 || gone[1].Dormant.Orphan == nil || !x.Knows(11) {
		t.Errorf("%+v", gone)
	}
	if again := x.TakeBack(101); again != nil {
		t.Error("taken back twice")
	}
	if r := journal(); r.Counted[101] != nil || r.Nodes[11].Count != 2 || r.Nodes[13] != nil {
		t.Errorf("the journal has %s", brief(r))
	}
	x.Remember(awake, 101)
	if r := journal(); len(r.Counted[101]) != 1 {
		t.Errorf("counted again: %v", r.Counted[101])
	}
	if _, gone := x.Unremember(11, 101); gone {
		t.Error("gone")
	}
	if r := journal(); r.Counted[101] != nil || r.Nodes[11].Count != 2 {
		t.Errorf("the journal has %s", brief(r))
	}
}

// A dormant file may be found by another name, and its number may belong to another file if a record was lost.
func TestIndexRecordsWhatWakesOtherwise(t *testing.T) {
	x, _, journal := takenOver(t)
	dir := child(10, unix.S_IFDIR, nil, "")
	x.Wake(child(11, unix.S_IFREG, dir, "second name"))
	x.Wake(child(14, unix.S_IFREG, dir, "has a name"))
	other := child(13, unix.S_IFDIR, dir, "other")
	if x.Wake(other) != other || x.Knows(13) {
		t.Error("a directory took over a file's lookups")
	}
	r := journal()
	if r.Nodes[11].Name != "second name" || r.Nodes[14].Orphan != nil || r.Nodes[14].Name != "has a name" || r.Nodes[13] != nil {
		t.Error(brief(r))
	}
	x.Remember(other, 0)
	if r := journal(); r.Nodes[13].Type != unix.S_IFDIR || r.Nodes[13].Count != 1 {
		t.Error(brief(r))
	}
}

func TestIndexWakesOnceForAll(t *testing.T) {
	x, _, journal := takenOver(t)
	dir := child(10, unix.S_IFDIR, nil, "")
	winners := make([]*tree.Node, 8)
	var wg sync.WaitGroup
	for g := range winners {
		wg.Go(func() {
			n := child(11, unix.S_IFREG, dir, "file")
			if g%2 == 0 {
				winners[g] = x.Remember(n, uint64(g))
			} else {
				winners[g] = x.Wake(n)
			}
			if !x.Knows(11) {
				t.Error("unknown for a moment")
			}
			x.Forget(13, 1)
		})
	}
	wg.Wait()
	for _, n := range winners {
		if n != winners[0] || n == nil {
			t.Error("two nodes for a number")
		}
	}
	if r := journal(); r.Nodes[11].Count != 3+4 || r.Nodes[13] != nil {
		t.Error(brief(r))
	}
}

// The kernel may forget the directory by which a file with several names is found: in the process that made it, in a later one,
// and before the journal is compacted.
func TestForgottenDirectoriesAboveDormantNodesAreFound(t *testing.T) {
	f := memfd(t)
	j, err := tree.NewJournal(f)
	if err != nil {
		t.Fatal(err)
	}
	x := tree.NewIndex()
	x.Attach(j)
	top := child(10, unix.S_IFDIR, nil, "top")
	dir := child(11, unix.S_IFDIR, top, "dir")
	empty := child(12, unix.S_IFDIR, top, "empty")
	file := child(13, unix.S_IFREG, dir, "file")
	for _, n := range []*tree.Node{top, dir, empty, file} {
		x.Remember(n, 1)
	}
	x.Forget(11, 1)
	x.Forget(12, 1)
	tree.Compact(j)
	tree.AwaitCompaction(j)
	for range 2 {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		var r *tree.Recovered
		j, r = load(t, f)
		x = tree.NewIndex()
		x.Attach(j)
		x.Sleep(r)
		if at, ok := x.Forgotten(11); !ok || at != (tree.Spot{Parent: 10, Name: "dir"}) || x.Knows(11) {
			t.Errorf("%+v, %v", at, ok)
		}
		if _, ok := x.Forgotten(12); ok {
			t.Error("there is nothing below it")
		}
		x.Forget(10, 1)
		if at, ok := x.Forgotten(10); !ok || at.Name != "top" {
			t.Errorf("forgotten now: %+v, %v", at, ok)
		}
	}
	x.Remember(dir, 2)
	if _, ok := x.Forgotten(11); ok {
		t.Error("the kernel knows it again")
	}
	x.Wake(file)
	if _, ok := x.Forgotten(10); ok {
		t.Error("nothing is dormant")
	}
}
