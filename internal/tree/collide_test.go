package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"testing"
)

func someNode() *Node { return NewNode(7, nil, 0o100000, Place{}, State{}) }

// crowd returns a table of the first n of the names, which have one hash: they stand at it and the cookies behind it.
func crowd(t *testing.T, names []string, n int) *Table {
	t.Helper()
	table := &Table{}
	for i, name := range names[:n] {
		table = with(t, table, name)
		wantCookie(t, table, name, hash(name)+uint64(i))
	}
	return merge(table)
}

func with(t *testing.T, table *Table, name string) *Table {
	t.Helper()
	next, err := table.With(Entry{Name: name, Node: someNode()})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func wantCookie(t *testing.T, table *Table, name string, want uint64) {
	t.Helper()
	if e, ok := table.Lookup(name); !ok || e.Cookie != want {
		t.Errorf("%s stands at %d (%v), want %d", name, e.Cookie, ok, want)
	}
}

func TestACollidingNameTakesTheNextFreeCookie(t *testing.T) {
	names := colliding(4)
	x, h := names[3], hash(names[3])
	table := with(t, crowd(t, names, 3), x)
	wantCookie(t, table, x, h+3)
	table = table.Without(names[1]) // those that stay keep their cookies
	wantCookie(t, table, x, h+3)
	table = table.Without(x)
	if _, ok := table.Lookup(x); ok || table.Len() != 2 {
		t.Error("x is still there")
	}
}

func TestANameIsNeverHiddenByAnothersDeletion(t *testing.T) {
	// The deletion of the first name waits in the delta at the cookie that x wishes for. Were x put there, the first name in
	// the base would show again as soon as x goes.
	names := colliding(2)
	first, x := names[0], names[1]
	table := with(t, crowd(t, names, 1).Without(first), x)
	wantCookie(t, table, x, hash(x)+1)
	table = table.Without(x)
	for e := range table.After(0) {
		t.Errorf("%q came back", e.Name)
	}
	if table.Len() != 0 {
		t.Errorf("%d names are left", table.Len())
	}
}

func TestANameComesBackToAnEarlierCookie(t *testing.T) {
	names := colliding(2)
	first, x := names[0], names[1]
	table := merge(crowd(t, names, 2).Without(first)).Without(x)
	table = with(t, table, x) // the hash itself is free now, while the deletion behind it waits
	wantCookie(t, table, x, hash(x))
	n := 0
	for range table.After(0) {
		n++
	}
	if n != 1 || table.Len() != 1 {
		t.Errorf("the stream has %d entries, Len is %d", n, table.Len())
	}
	if table = table.Without(x); table.Len() != 0 {
		t.Error("x stays")
	}
	for e := range table.After(0) {
		t.Errorf("%q at %d came back", e.Name, e.Cookie)
	}
}

// merge folds the delta into the base, as apply does when the delta is long.
func merge(t *Table) *Table {
	var all []Entry
	for e := range t.After(0) {
		all = append(all, e)
	}
	return &Table{base: all, count: len(all)}
}

func TestNewTableSpreadsCollisions(t *testing.T) {
	names := colliding(probeMax + 1)
	entries := func(n int) []Entry {
		entries := make([]Entry, n)
		for i := range entries {
			entries[i] = Entry{Name: names[i], Node: someNode()}
		}
		return entries
	}
	table, err := NewTable(entries(probeMax))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[uint64]bool)
	for _, name := range names[:probeMax] {
		e, ok := table.Lookup(name)
		if !ok || e.Name != name || seen[e.Cookie] || e.Cookie-hash(name) >= probeMax {
			t.Errorf("%q stands at hash + %d (%v)", name, e.Cookie-hash(name), ok)
		}
		seen[e.Cookie] = true
	}
	if _, ok := table.Lookup(names[probeMax]); ok {
		t.Error("found a name that is not there")
	}
	if _, err := table.With(Entry{Name: names[probeMax], Node: someNode()}); !errors.Is(err, ErrCrowded) {
		t.Errorf("With: %v, want ErrCrowded", err)
	}
	if _, err := NewTable(entries(probeMax + 1)); !errors.Is(err, ErrCrowded) {
		t.Errorf("NewTable: %v, want ErrCrowded", err)
	}
}

// colliding returns names of one hash. xxhash reads 32 bytes at a time into four accumulators; whatever the first eight
// bytes do to the first accumulator, the eight that it reads next can undo.
func colliding(n int) []string {
	const p1, p2 = 11400714785074694791, 14029467366897019727
	inverse := uint64(p2) // of p2 modulo 2^64, by Newton's method
	for range 6 {
		inverse *= 2 - p2*inverse
	}
	sum := uint64(p1)
	sum += p2 // the accumulator's first value, which may overflow
	after := func(block uint64) uint64 { return bits.RotateLeft64(sum+block*p2, 31) * p1 }
	var names []string
	for i := 0; len(names) < n; i++ {
		name := []byte(strings.Repeat("c", 64))
		copy(name, fmt.Sprintf("%08d", i))
		undo := -after(binary.LittleEndian.Uint64(name)) * inverse
		binary.LittleEndian.PutUint64(name[32:], undo)
		if !bytes.ContainsAny(name, "/\x00") {
			names = append(names, string(name))
		}
	}
	return names
}

func TestHashLeavesRoomAtBothEnds(t *testing.T) {
	for i := range 100_000 {
		if h := hash(fmt.Sprint(i)); h < firstCookie || h > DotDotCookie-probeMax {
			t.Fatalf("hash(%d) = %d", i, h)
		}
	}
}

func TestChangesAreMergedAboveTheSquareRoot(t *testing.T) {
	table := &Table{}
	for i := range 8 {
		table = with(t, table, fmt.Sprint(i))
	}
	if len(table.base) != 0 || len(table.delta) != 8 {
		t.Fatalf("%d and %d, want 8 changes waiting", len(table.base), len(table.delta))
	}
	table = with(t, table, "8")
	if len(table.base) != 9 || len(table.delta) != 0 {
		t.Fatalf("%d and %d, want all merged", len(table.base), len(table.delta))
	}
	for i := range 11 { // 8 + sqrt(9)
		table = table.Without(fmt.Sprint(i))
		table = with(t, table, fmt.Sprint(i)) // a change of a changed name adds none
	}
	if len(table.delta) != 11 || table.Len() != 11 {
		t.Fatalf("%d changes, %d names", len(table.delta), table.Len())
	}
	table = table.Without("0")
	if len(table.delta) != 11 {
		t.Fatalf("%d changes", len(table.delta))
	}
	if table = with(t, table, "x"); len(table.base) != 11 || len(table.delta) != 0 {
		t.Errorf("%d and %d, want all merged, deletions dropped", len(table.base), len(table.delta))
	}
}
