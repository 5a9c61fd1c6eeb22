package tree_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// said is what a journal should say, kept in the plainest way.
type said struct {
	nodes   map[uint64]tree.Dormant
	counted []asked // the oldest first
	intents map[uint64]string
	notes   map[byte]string
}

type asked struct {
	unique uint64
	inos   []uint64
}

func (s *said) clone() *said {
	out := &said{nodes: maps.Clone(s.nodes), intents: maps.Clone(s.intents), notes: maps.Clone(s.notes)}
	for _, a := range s.counted {
		out.counted = append(out.counted, asked{a.unique, slices.Clone(a.inos)})
	}
	return out
}

func (s *said) find(unique uint64) int {
	return slices.IndexFunc(s.counted, func(a asked) bool { return a.unique == unique })
}

func (s *said) count(unique, ino uint64) {
	i := s.find(unique)
	if i < 0 {
		s.counted = append(s.counted, asked{unique: unique})
		i = len(s.counted) - 1
	}
	s.counted[i].inos = append(s.counted[i].inos, ino)
	if len(s.counted) > tree.CountedRequests {
		s.counted = s.counted[1:]
	}
}

// drop takes back lookups, and tells whether none is left.
func (s *said) drop(ino uint64, count int64) bool {
	d, known := s.nodes[ino]
	if d.Count -= count; d.Count > 0 {
		s.nodes[ino] = d
		return false
	}
	delete(s.nodes, ino)
	return known
}

// same fails unless what was recovered is what should be said.
func (s *said) same(t *testing.T, r *tree.Recovered) {
	t.Helper()
	want := &tree.Recovered{
		Notes: map[byte][]byte{}, Nodes: map[uint64]*tree.Dormant{}, Forgotten: map[uint64]tree.Spot{},
		Intents: map[uint64]tree.Intent{}, Counted: map[uint64][]uint64{},
	}
	for ino, d := range s.nodes {
		want.Nodes[ino] = &d
	}
	for _, a := range s.counted {
		want.Counted[a.unique] = a.inos
	}
	for unique, name := range s.intents {
		want.Intents[unique] = tree.Intent{Ino: unique, From: tree.Spot{Parent: 3, Name: name}}
	}
	for kind, payload := range s.notes {
		want.Notes[kind] = []byte(payload)
	}
	if got, want := text(t, r), text(t, want); got != want {
		t.Fatalf("it says\n%s\nnot\n%s", got, want)
	}
}

// life is a mount's index and journal through many processes, with what they should hold.
type life struct {
	t       *testing.T
	r       *rand.Rand
	f       *os.File
	j       *tree.Journal
	x       *tree.Index
	now     *said
	flushed *said                 // what a kill leaves
	awake   map[uint64]*tree.Node // of this process
	earlier map[uint64][]uint64   // counted by requests of the processes before
	unique  uint64
	kills   int
	full    bool // as many requests were remembered as can be
}

const lifeNumbers = 40

func (l *life) dir(ino uint64) *tree.Node { return child(ino, unix.S_IFDIR, nil, "") }

func (l *life) ino() uint64 { return 10 + l.r.Uint64N(lifeNumbers) }

// made makes a node as its place and type should be.
func (l *life) made(ino uint64) *tree.Node {
	d, known := l.now.nodes[ino]
	if !known {
		d = tree.Dormant{Parent: 2 + l.r.Uint64N(3), Name: fmt.Sprint("name ", l.r.IntN(1000)), Type: unix.S_IFREG}
	}
	n := child(ino, d.Type, l.dir(d.Parent), d.Name)
	if d.Orphan != nil {
		n.SetState(*d.Orphan)
	}
	return n
}

func (l *life) remember() {
	ino := l.ino()
	n := l.made(ino)
	if l.unique += l.r.Uint64N(3); l.unique == 0 {
		l.unique = 1
	}
	got := l.x.Remember(n, l.unique)
	if known := l.awake[ino]; known != nil && got != known {
		l.t.Fatalf("%d: another node", ino)
	}
	l.awake[ino] = got
	d, known := l.now.nodes[ino]
	if !known {
		p := n.Place()
		d = tree.Dormant{Parent: p.Parent.Ino, Name: p.Name, Type: n.Type}
	}
	d.Count++
	l.now.nodes[ino] = d
	l.now.count(l.unique, ino)
	l.full = l.full || len(l.now.counted) == tree.CountedRequests
}

// letGo compares what the index says has gone with what should have.
func (l *life) letGo(g tree.Gone, gone, want bool) {
	if gone != want || gone && (g.Node != nil) != (l.awake[g.Ino] != nil) || gone && (g.Node == nil) == (g.Dormant == nil) {
		l.t.Fatalf("gone %v, not %v: %+v", gone, want, g)
	}
	if gone {
		delete(l.awake, g.Ino)
	}
}

func (l *life) forget() {
	ino, count := l.ino(), 1+l.r.Uint64N(3)
	want := l.now.drop(ino, int64(count))
	g, gone := l.x.Forget(ino, count)
	l.letGo(g, gone, want)
}

func (l *life) unremember() {
	i := l.now.find(l.unique)
	if i < 0 {
		return
	}
	a := &l.now.counted[i]
	ino := a.inos[l.r.IntN(len(a.inos))]
	at := slices.Index(a.inos, ino)
	if a.inos = slices.Delete(a.inos, at, at+1); len(a.inos) == 0 {
		l.now.counted = slices.Delete(l.now.counted, i, i+1)
	}
	want := l.now.drop(ino, 1)
	g, gone := l.x.Unremember(ino, l.unique)
	l.letGo(g, gone, want)
}

func (l *life) takeBack() {
	for unique, inos := range l.earlier {
		delete(l.earlier, unique)
		var want []uint64
		for _, ino := range inos {
			if l.now.drop(ino, 1) {
				want = append(want, ino)
			}
		}
		if i := l.now.find(unique); i >= 0 {
			l.now.counted = slices.Delete(l.now.counted, i, i+1)
		}
		got := l.x.TakeBack(unique)
		for i, g := range got {
			l.letGo(g, i < len(want) && want[i] == g.Ino, true)
		}
		if len(got) != len(want) || l.x.TakeBack(unique) != nil {
			l.t.Fatalf("gone %v, not %v", got, want)
		}
		return
	}
}

func (l *life) move() {
	n := l.awake[l.ino()]
	if n == nil {
		return
	}
	d := l.now.nodes[n.Ino]
	d.Parent, d.Name, d.Orphan = 2+l.r.Uint64N(3), fmt.Sprint("moved ", l.r.IntN(1000)), nil
	n.SetPlace(tree.Place{Parent: l.dir(d.Parent), Name: d.Name})
	n.SetState(tree.State{Size: 5})
	l.j.Moved(n)
	l.now.nodes[n.Ino] = d
}

func (l *life) orphan() {
	n := l.awake[l.ino()]
	if n == nil {
		return
	}
	s := tree.State{Orphan: true, Size: l.r.Int64N(1000), Mode: unix.S_IFREG}
	n.SetState(s)
	l.j.Orphaned(n)
	d := l.now.nodes[n.Ino]
	d.Orphan = &s
	l.now.nodes[n.Ino] = d
}

func (l *life) wake() {
	ino := l.ino()
	_, known := l.now.nodes[ino]
	n := l.made(ino)
	got := l.x.Wake(n)
	if had := l.awake[ino]; had != nil && got != had || had == nil && got != n {
		l.t.Fatalf("%d: woke as another node", ino)
	}
	if known {
		l.awake[ino] = got
	}
}

func (l *life) begin() {
	unique, name := 5000+l.r.Uint64N(50), fmt.Sprint("intent ", l.r.IntN(1000))
	if err := l.j.Begin(unique, tree.Intent{Ino: unique, From: tree.Spot{Parent: 3, Name: name}}); err != nil {
		l.t.Fatal(err)
	}
	l.now.intents[unique] = name
	l.flushed = l.now.clone()
}

func (l *life) answered() {
	unique := 5000 + l.r.Uint64N(50)
	if l.r.IntN(2) == 0 {
		unique = l.unique - l.r.Uint64N(10)
	}
	l.j.Answered(unique)
	delete(l.now.intents, unique)
	if i := l.now.find(unique); i >= 0 {
		l.now.counted = slices.Delete(l.now.counted, i, i+1)
	}
}

func (l *life) note() {
	kind, payload := byte(l.r.IntN(3)), fmt.Sprint("note ", l.r.IntN(1000))
	l.j.Note(kind, []byte(payload))
	l.now.notes[kind] = payload
}

func (l *life) flush() {
	if err := l.j.Flush(); err != nil {
		l.t.Fatal(err)
	}
	l.flushed = l.now.clone()
}

func (l *life) compact() {
	tree.Compact(l.j)
	if l.r.IntN(2) == 0 {
		tree.AwaitCompaction(l.j)
	}
}

// kill goes on with the next process; what was not flushed is lost.
func (l *life) kill() {
	tree.AwaitCompaction(l.j)
	j, r := load(l.t, l.f)
	l.kills++
	l.now = l.flushed.clone()
	l.now.same(l.t, r)
	l.j, l.x, l.awake = j, tree.NewIndex(), map[uint64]*tree.Node{}
	l.earlier = map[uint64][]uint64{}
	for _, a := range l.now.counted {
		l.earlier[a.unique] = slices.Clone(a.inos)
	}
	l.unique += 10 // a request that came again would be taken back first
	l.x.Attach(j)
	l.x.Sleep(r)
}

func (l *life) check() {
	if l.x.Len() != len(l.now.nodes) {
		l.t.Fatalf("%d known, not %d", l.x.Len(), len(l.now.nodes))
	}
	ino := l.ino()
	d, known := l.now.nodes[ino]
	got, n := l.x.Dormant(ino)
	if l.x.Knows(ino) != known || n != l.awake[ino] || (got != nil) != (known && n == nil) {
		l.t.Fatalf("%d: known %v, dormant %v, node %v", ino, known, got, n)
	}
	if n != nil && tree.Lookups(n) != d.Count || got != nil && got.Count != d.Count {
		l.t.Fatalf("%d: not %d lookups", ino, d.Count)
	}
}

// Whatever happens to an index and its journal, in whatever order, they hold what a plain model holds, and the next process
// reads what was flushed last.
func TestJournalIsLikeItsModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			empty := &said{nodes: map[uint64]tree.Dormant{}, intents: map[uint64]string{}, notes: map[byte]string{}}
			l := &life{t: t, r: rand.New(rand.NewPCG(seed, 1)), f: memfd(t), now: empty, flushed: empty.clone(), awake: map[uint64]*tree.Node{}}
			j, err := tree.NewJournal(l.f)
			if err != nil {
				t.Fatal(err)
			}
			l.j, l.x = j, tree.NewIndex()
			l.x.Attach(j)
			steps := []struct {
				weight int
				do     func()
			}{
				{40, l.remember}, {15, l.forget}, {5, l.unremember}, {5, l.takeBack}, {5, l.move}, {3, l.orphan}, {10, l.wake},
				{3, l.begin}, {5, l.answered}, {2, l.note}, {20, l.flush}, {2, l.compact}, {1, l.kill},
			}
			var deck []func()
			for _, s := range steps {
				deck = append(deck, slices.Repeat([]func(){s.do}, s.weight)...)
			}
			for range 8000 {
				deck[l.r.IntN(len(deck))]()
				l.check()
			}
			l.flush()
			l.kill()
			if l.kills < 10 || !l.full {
				t.Errorf("%d kills, as many requests as can be: %v", l.kills, l.full)
			}
		})
	}
}
