package tree_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// change is one change of a journal's file: a write, or with a nil b a hole.
type change struct {
	b      []byte
	off, n int64
	before int // how many records had been written before
	record bool
}

func (c *change) make(t *testing.T, f *os.File, part int) {
	t.Helper()
	var err error
	if c.b != nil {
		_, err = f.WriteAt(c.b[:part], c.off)
	} else {
		err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, c.off, c.n)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// film has a journal's changes, and what the journal said after each record.
type film struct {
	t        *testing.T
	j, plain *tree.Journal // the second one is never compacted
	indexes  [2]*tree.Index
	dir      *tree.Node
	changes  []change
	says     []string
	writing  bool
}

func newFilm(t *testing.T) *film {
	t.Helper()
	m := &film{t: t, dir: child(2, unix.S_IFDIR, nil, "dir")}
	for i, at := range []**tree.Journal{&m.j, &m.plain} {
		j, err := tree.NewJournal(memfd(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = j.Close() })
		*at = j
		m.indexes[i] = tree.NewIndex()
		m.indexes[i].Attach(j)
	}
	return m
}

// roll begins to film: what is there now is the first change.
func (m *film) roll() {
	var start [1 << 20]byte
	n, _ := tree.FileOf(m.j).ReadAt(start[:], 0)
	m.changes = []change{{b: start[:n], n: int64(n)}}
	m.says = []string{m.plainText()}
	tree.Trace(m.j, func(b []byte, off, n int64) error {
		isRecord := m.writing
		if !isRecord && off >= tree.FirstStart && !isJump(b) {
			m.write(uint64(len(m.says)) % 7) // somebody counts between any two steps of a compaction
		}
		if b != nil {
			b = append([]byte{}, b...)
		}
		m.changes = append(m.changes, change{b: b, off: off, n: n, before: len(m.says) - 1, record: isRecord})
		return nil
	})
}

// isJump tells whether b is a compaction's first write, under the lock that records need.
func isJump(b []byte) bool { return len(b) == tree.JumpLen && b[tree.Ahead-1] == 'J' }

func (m *film) plainText() string {
	m.t.Helper()
	if err := m.plain.Flush(); err != nil {
		m.t.Fatal(err)
	}
	_, r := load(m.t, tree.FileOf(m.plain))
	return text(m.t, r)
}

// write writes one record.
func (m *film) write(i uint64) {
	do := func(x *tree.Index) {
		n := child(100+i, unix.S_IFREG, m.dir, fmt.Sprintf("file %d", i))
		if len(m.says)%3 == 2 {
			x.Forget(n.Ino, 1)
		} else {
			x.Remember(n, uint64(len(m.says)))
		}
	}
	do(m.indexes[1])
	says := m.plainText()
	do(m.indexes[0])
	m.writing = true
	err := m.j.Flush()
	m.writing = false
	if err != nil {
		m.t.Error(err)
	}
	m.says = append(m.says, says)
}

// After a kill at any step of a compaction, and within any write of it, the journal says what it said when the last record
// was written.
func TestJournalKilledWhileItIsCompacted(t *testing.T) {
	m := newFilm(t)
	for i, x := range m.indexes {
		everything(t, x, []*tree.Journal{m.j, m.plain}[i])
	}
	m.roll()
	for range 3 {
		for i := range uint64(5) {
			m.write(i)
		}
		tree.Compact(m.j)
		tree.AwaitCompaction(m.j)
	}
	f := memfd(t)
	holes, loads := 0, 0
	for i := range m.changes {
		c := &m.changes[i]
		for part := 0; part < len(c.b); part += 1 + len(c.b)/100 {
			if i == 0 || c.off < tree.FirstStart {
				break // what is in the header is written whole
			}
			c.make(t, f, part)
			m.check(f, c, false)
			loads++
		}
		if c.b == nil {
			holes++
		}
		c.make(t, f, len(c.b))
		m.check(f, c, c.record)
		loads++
	}
	if holes < 3 || loads < 500 {
		t.Errorf("%d loads, %d holes", loads, holes)
	}
}

// check loads a copy of the file: loading cuts and punches, and the film goes on.
func (m *film) check(f *os.File, c *change, written bool) {
	m.t.Helper()
	clone := cloneSparse(m.t, f)
	defer func() { _ = clone.Close() }()
	j, r, err := tree.LoadJournal(clone)
	if err != nil {
		m.t.Fatal(err)
	}
	_ = j.Close()
	want := m.says[c.before]
	if written {
		want = m.says[c.before+1]
	}
	if got := text(m.t, r); got != want {
		m.t.Fatalf("after %d records it says\n%s\nnot\n%s", c.before, got, want)
	}
}

// cloneSparse copies a file and leaves out its holes.
func cloneSparse(t *testing.T, f *os.File) *os.File {
	t.Helper()
	out := memfd(t)
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Truncate(st.Size()); err != nil {
		t.Fatal(err)
	}
	for at := int64(0); ; {
		from, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return out
		}
		to, err2 := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, to-from)
		_, err = f.ReadAt(b, from)
		_, err2 = out.WriteAt(b, from)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		at = to
	}
}

// What many goroutines count while the journal is compacted again and again is what it says in the end.
func TestJournalCompactedUnderContention(t *testing.T) {
	j, err := tree.NewJournal(memfd(t))
	if err != nil {
		t.Fatal(err)
	}
	tree.CompactFrom(j, 8<<10)
	var generations atomic.Int64
	tree.Trace(j, func(_ []byte, off, _ int64) error {
		if off == 8 {
			generations.Add(1)
		}
		return nil
	})
	x := tree.NewIndex()
	x.Attach(j)
	dir := child(2, unix.S_IFDIR, nil, "dir")
	const numbers = 50
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 0))
			held := map[uint64]uint64{}
			for i := range uint64(20_000) {
				ino := 10 + r.Uint64N(1+r.Uint64N(numbers)) // some much more often
				unique := 1 + i*4 + g
				switch {
				case held[ino] == 0 || r.IntN(5) < 2:
					x.Remember(child(ino, unix.S_IFREG, dir, fmt.Sprint(ino)), unique)
					held[ino]++
					if r.IntN(4) == 0 {
						x.Unremember(ino, unique)
						held[ino]--
					}
				default:
					count := 1 + r.Uint64N(held[ino])
					x.Forget(ino, count)
					held[ino] -= count
				}
				if i%3 == 0 {
					if err := j.Flush(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, r := load(t, tree.FileOf(j))
	if len(r.Nodes) != x.Len() || x.Len() == 0 {
		t.Errorf("%d nodes, not %d", len(r.Nodes), x.Len())
	}
	for ino, d := range r.Nodes {
		if n := x.Find(ino); n == nil || tree.Lookups(n) != d.Count || d.Name != fmt.Sprint(ino) {
			t.Errorf("%d: %+v, node %v", ino, d, n)
		}
	}
	if generations.Load() < 5 {
		t.Errorf("compacted %d times", generations.Load())
	}
}

// filled returns a journal with many nodes, large enough for several writes of a compaction.
func filled(t *testing.T) (*tree.Journal, *tree.Index) {
	t.Helper()
	j, err := tree.NewJournal(memfd(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	x := tree.NewIndex()
	x.Attach(j)
	dir := child(2, unix.S_IFDIR, nil, "dir")
	for i := range uint64(20_000) {
		x.Remember(child(100+i, unix.S_IFREG, dir, fmt.Sprintf("file %d", i)), 0)
	}
	if err := j.Flush(); err != nil {
		t.Fatal(err)
	}
	return j, x
}

func blocks(t *testing.T, f *os.File) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

// A compaction for which there is no memory changes nothing, and a later one works. The old generation's memory is given
// back.
func TestJournalGoesOnIfItCannotBeCompacted(t *testing.T) {
	for _, fail := range []struct {
		what string
		at   func(b []byte, off int64) bool
	}{
		{"the first write", func(b []byte, off int64) bool { return len(b) > tree.JumpLen && off >= tree.FirstStart }},
		{"the last write", func(b []byte, _ int64) bool {
			return len(b) > tree.JumpLen && b[len(b)-tree.JumpLen+tree.Ahead-1] == 'J'
		}},
		{"the switch", func(_ []byte, off int64) bool { return off == 8 }},
	} {
		t.Run(fail.what, func(t *testing.T) {
			j, x := filled(t)
			failed := false
			tree.Trace(j, func(b []byte, off, _ int64) error {
				if b != nil && fail.at(b, off) && !failed {
					failed = true
					return unix.ENOSPC
				}
				return nil
			})
			used := blocks(t, tree.FileOf(j))
			for _, ino := range []uint64{100, 101} {
				tree.Compact(j)
				x.Forget(ino, 1)
				tree.AwaitCompaction(j)
				if err := j.Flush(); err != nil {
					t.Fatal(err)
				}
				if !failed {
					t.Fatal("nothing failed")
				}
			}
			if now := blocks(t, tree.FileOf(j)); now > used+used/4 {
				t.Errorf("it takes %d bytes, and %d before", now, used)
			}
			if _, r := load(t, tree.FileOf(j)); len(r.Nodes) != 20_000-2 {
				t.Errorf("%d nodes", len(r.Nodes))
			}
		})
	}
}

// What cannot be read back now could not be read by the next process either.
func TestJournalThatCannotBeReadBack(t *testing.T) {
	j, x := filled(t)
	if _, err := tree.FileOf(j).WriteAt([]byte{0xff, 0xff}, 20_000); err != nil {
		t.Fatal(err)
	}
	tree.Compact(j)
	tree.AwaitCompaction(j)
	x.Forget(100, 1)
	if err := j.Flush(); !errors.Is(err, tree.ErrJournalBroken) || !errors.Is(err, tree.ErrJournalCorrupt) {
		t.Errorf("%v", err)
	}
	x.Forget(101, 1)
	if err := j.Flush(); err != nil {
		t.Errorf("told again: %v", err)
	}
	if _, _, err := tree.LoadJournal(tree.FileOf(j)); !errors.Is(err, tree.ErrJournalBroken) {
		t.Errorf("loaded: %v", err)
	}
}

// Whoever closes a journal waits for a step of its compaction, not for all of it.
func TestJournalClosedWhileItIsCompacted(t *testing.T) {
	j, _ := filled(t)
	closed := make(chan error, 1)
	writes := 0
	tree.Trace(j, func(b []byte, _, _ int64) error {
		if len(b) > 17 {
			if writes++; writes == 1 {
				go func() { closed <- j.Close() }()
				for !tree.Closing(j) {
					runtime.Gosched()
				}
			}
		}
		return nil
	})
	tree.Compact(j)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if writes != 1 {
		t.Errorf("%d writes", writes)
	}
	if _, r := load(t, tree.FileOf(j)); len(r.Nodes) != 20_000 {
		t.Errorf("%d nodes", len(r.Nodes))
	}
}
