package tree_test

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// leavingAll is a journal whose last record is a batch, of a note and of nodes that may lose their names; start is where it
// begins.
func leavingAll(t *testing.T, size int) (head, log []byte, start int64) {
	t.Helper()
	f := memfd(t)
	j, err := tree.NewJournal(f)
	succeed(t, err)
	x := tree.NewIndex()
	x.Attach(j)
	root := tree.NewNode(tree.RootIno, nil, unix.S_IFDIR, tree.Place{}, tree.State{})
	var nodes []*tree.Node
	for i := range 3 {
		n := child(uint64(100+i), unix.S_IFREG, root, string(rune('a'+i)))
		n.SetState(tree.State{Mode: unix.S_IFREG | 0o644, Size: 5, Object: object.ID{byte(i + 1)}})
		x.Remember(n, 0)
		nodes = append(nodes, n)
	}
	succeed(t, j.Flush())
	_, before := parts(t, f)
	var b tree.Batch
	b.Note(9, bytes.Repeat([]byte{7}, size))
	for _, n := range nodes[:2] {
		b.Leaving(n)
	}
	j.Add(&b)
	succeed(t, j.Close())
	head, log = parts(t, f)
	return head, log, int64(len(before))
}

func succeed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestABatchCountsAsAWhole(t *testing.T) {
	head, log, start := leavingAll(t, 10)
	for end := start; end <= int64(len(log)); end++ {
		_, r := load(t, fileWith(t, head, log[:end]))
		gone := 0
		for _, d := range r.Nodes {
			if d.Orphan != nil {
				gone++
			}
			if d.Name == "" || d.Orphan != nil && (!d.Orphan.Orphan || d.Orphan.Object.IsZero()) {
				t.Errorf("cut at %d: %+v", end, d)
			}
		}
		whole := end == int64(len(log))
		if noted := r.Notes[9] != nil; noted != whole || (gone == 2) != whole || (gone == 0) == whole {
			t.Fatalf("cut at %d of %d: noted %v, %d orphans", end, len(log), noted, gone)
		}
	}
	for _, at := range []int{5, 9, len(log) - int(start) - 5} { // within the batch: its own sum tells
		bad := bytes.Clone(log)
		bad[int(start)+at] ^= 1
		if _, _, err := tree.LoadJournal(fileWith(t, head, bad)); !errors.Is(err, tree.ErrJournalCorrupt) {
			t.Errorf("damage at %d: %v", at, err)
		}
	}
}

// A changelist may change the listings of many large directories.
func TestALongBatchCountsAsAWhole(t *testing.T) {
	const size = 20 << 20
	head, log, start := leavingAll(t, size)
	_, r := load(t, fileWith(t, head, log))
	if len(r.Notes[9]) != size || r.Nodes[100].Orphan == nil || r.Nodes[101].Orphan == nil || r.Nodes[102].Orphan != nil {
		t.Errorf("%d bytes noted; %+v", len(r.Notes[9]), r.Nodes)
	}
	for _, end := range []int64{start + 1, start + size} { // a compaction follows
		if _, r := load(t, fileWith(t, head, log[:end])); r.Notes[9] != nil || r.Nodes[100].Orphan != nil {
			t.Errorf("cut at %d of %d: a part counts", end, len(log))
		}
	}
	var none *tree.Journal
	none.Add(new(tree.Batch))
	j, err := tree.NewJournal(memfd(t))
	succeed(t, err)
	var b tree.Batch
	b.Note(1, make([]byte, 1<<28))
	j.Add(&b)
	if err := j.Flush(); !errors.Is(err, tree.ErrJournalBroken) {
		t.Errorf("a record that is too long: %v", err)
	}
}
