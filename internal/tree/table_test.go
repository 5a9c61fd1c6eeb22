package tree_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// node makes a file's node that stands nowhere in particular.
func node(ino uint64) *tree.Node {
	return tree.NewNode(ino, nil, 0o100000, tree.Place{}, tree.State{})
}

// model is a table with a map that says what it should hold.
type model struct {
	t     *testing.T
	table *tree.Table
	names map[string]tree.Entry
}

func newModel(t *testing.T, names ...string) *model {
	t.Helper()
	m := &model{t: t, names: make(map[string]tree.Entry)}
	var entries []tree.Entry
	for i, name := range names {
		e := tree.Entry{Name: name, Node: node(uint64(i) + 100), Covers: i%2 == 0}
		entries, m.names[name] = append(entries, e), e
	}
	var err error
	if m.table, err = tree.NewTable(entries); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *model) with(name string) {
	m.t.Helper()
	e := tree.Entry{Cookie: 3, Name: name, Node: node(rand.Uint64()), Covers: rand.IntN(2) == 0}
	next, err := m.table.With(e)
	if err != nil {
		m.t.Fatal(err)
	}
	m.table, m.names[name] = next, e
}

func (m *model) without(name string) {
	m.table = m.table.Without(name)
	delete(m.names, name)
}

// check compares every way to read the table with the map.
func (m *model) check() {
	m.t.Helper()
	if m.table.Len() != len(m.names) {
		m.t.Fatalf("Len = %d, want %d", m.table.Len(), len(m.names))
	}
	var last uint64
	seen := make(map[string]bool)
	for e := range m.table.After(0) {
		want, ok := m.names[e.Name]
		if !ok || seen[e.Name] || e.Node != want.Node || e.Covers != want.Covers {
			m.t.Fatalf("After yields %q (again: %v), want %+v", e.Name, seen[e.Name], want)
		}
		if e.Cookie <= last || e.Cookie <= tree.DotCookie || e.Cookie >= tree.DotDotCookie {
			m.t.Fatalf("cookie %d of %q comes after %d", e.Cookie, e.Name, last)
		}
		last, seen[e.Name] = e.Cookie, true
		if got, ok := m.table.Lookup(e.Name); !ok || got != e {
			m.t.Fatalf("Lookup(%q) = %+v, %v, want %+v", e.Name, got, ok, e)
		}
	}
	if len(seen) != len(m.names) {
		m.t.Fatalf("After yields %d entries, want %d", len(seen), len(m.names))
	}
}

func TestTableAgainstAMap(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 9, 63, 64, 1000} {
		t.Run(fmt.Sprintf("from %d names", size), func(t *testing.T) {
			var names []string
			for i := range size {
				names = append(names, fmt.Sprintf("n%d", i))
			}
			m := newModel(t, names...)
			m.check()
			r := rand.New(rand.NewPCG(uint64(size), 1))
			for range 300 {
				name := fmt.Sprintf("n%d", r.IntN(size+20))
				if r.IntN(2) == 0 {
					m.with(name)
				} else {
					m.without(name)
				}
				if _, ok := m.names[name]; !ok {
					if _, found := m.table.Lookup(name); found {
						t.Fatalf("%q is found after its removal", name)
					}
				}
			}
			m.check()
		})
	}
}

func TestTableIsImmutable(t *testing.T) {
	m := newModel(t, "a", "b", "c")
	old := *m
	old.names = map[string]tree.Entry{"a": m.names["a"], "b": m.names["b"], "c": m.names["c"]}
	for i := range 50 {
		m.with(fmt.Sprintf("new%d", i))
	}
	m.without("a")
	m.with("b")
	old.check()
	m.check()
}

func TestTableWithoutAnUnknownNameIsTheSame(t *testing.T) {
	m := newModel(t, "a")
	if m.table.Without("b") != m.table {
		t.Error("another table")
	}
	var zero tree.Table // what a new directory has
	if zero.Without("x") != &zero || zero.Len() != 0 {
		t.Error("the zero table is not the empty directory")
	}
}

func TestTableKeepsTheCookieOfANameThatIsReplaced(t *testing.T) {
	m := newModel(t, "a", "b")
	before, _ := m.table.Lookup("a")
	m.with("a")
	after, _ := m.table.Lookup("a")
	if before.Cookie != after.Cookie || before.Node == after.Node {
		t.Errorf("%+v became %+v", before, after)
	}
}

func TestTableLookupAllocatesNothing(t *testing.T) {
	m := newModel(t, "a", "b", "c")
	m.with("d")
	for _, name := range []string{"a", "d", "missing"} {
		if n := testing.AllocsPerRun(100, func() { m.table.Lookup(name) }); n != 0 {
			t.Errorf("Lookup(%q): %v allocations", name, n)
		}
	}
}

// stream reads a directory in steps, as getdents does: each goes on after the cookie of the entry before it, in whatever
// table is there by then.
func stream(step int, table func() *tree.Table) []string {
	var names []string
	for cookie := uint64(0); ; {
		n := 0
		for e := range table().After(cookie) {
			names, cookie = append(names, e.Name), e.Cookie
			if n++; n == step {
				break
			}
		}
		if n == 0 {
			return names
		}
	}
}

func TestStreamReturnsWhatStaysExactlyOnce(t *testing.T) {
	for _, step := range []int{1, 3, 50} {
		t.Run(fmt.Sprintf("%d at a time", step), func(t *testing.T) {
			var stay []string
			for i := range 200 {
				stay = append(stay, fmt.Sprintf("stays%d", i))
			}
			m := newModel(t, stay...)
			r := rand.New(rand.NewPCG(9, uint64(step)))
			names := stream(step, func() *tree.Table {
				for range 20 { // others come and go between two calls
					if name := fmt.Sprintf("passes%d", r.IntN(100)); r.IntN(2) == 0 {
						m.with(name)
					} else {
						m.without(name)
					}
				}
				m.with(stay[r.IntN(len(stay))]) // replaced, as by a rename over it
				return m.table
			})
			slices.Sort(names)
			count := make(map[string]int)
			for _, name := range names {
				count[name]++
			}
			for _, name := range stay {
				if count[name] != 1 {
					t.Errorf("%s came %d times", name, count[name])
				}
			}
		})
	}
}

func TestStreamCanStopAnywhere(t *testing.T) {
	m := newModel(t, "a", "b", "c")
	m.with("d")
	for range m.table.After(0) {
		break
	}
	n := 0
	for range m.table.After(math.MaxInt64) {
		n++
	}
	if n != 0 {
		t.Errorf("%d entries after the last cookie", n)
	}
}

// FuzzTable applies a program of changes: each byte is a name, its high bit says whether to remove it.
func FuzzTable(f *testing.F) {
	f.Add([]byte("abc"), []byte("ab\x80\xe1defghijklmnop"))
	f.Add([]byte{}, []byte{1, 0x81, 1, 0x81, 1})
	f.Fuzz(func(t *testing.T, first, program []byte) {
		slices.Sort(first)
		var names []string
		for _, b := range slices.Compact(first) {
			names = append(names, fmt.Sprintf("n%d", b&0x7f))
		}
		slices.Sort(names)
		m := newModel(t, slices.Compact(names)...)
		for _, b := range program {
			if name := fmt.Sprintf("n%d", b&0x7f); b < 0x80 {
				m.with(name)
			} else {
				m.without(name)
			}
		}
		m.check()
	})
}

func BenchmarkWith(b *testing.B) {
	for _, size := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("in %d names", size), func(b *testing.B) {
			entries := make([]tree.Entry, size)
			for i := range entries {
				entries[i] = tree.Entry{Name: fmt.Sprintf("name%d", i), Node: node(1)}
			}
			table, err := tree.NewTable(entries)
			if err != nil {
				b.Fatal(err)
			}
			n := node(2)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%2 == 0 {
					table, _ = table.With(tree.Entry{Name: "another", Node: n})
				} else {
					table = table.Without("another")
				}
			}
		})
	}
}
