package fusebridge

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestPositionsAreReadAsTheyAreWritten(t *testing.T) {
	for range 10_000 {
		p := position{
			cursor: actors.Cursor{Cookie: rand.Uint64N(tree.DotDotCookie), Version: uint16(rand.Uint32())},
			place:  rand.IntN(pageSize/direntAlign) * direntAlign,
		}
		if got := parsePosition(p.offset()); got != p || p.offset() > math.MaxInt64 {
			t.Fatalf("%+v becomes %x, and that %+v", p, p.offset(), got)
		}
	}
	if p := parsePosition(0); p != (position{}) {
		t.Errorf("the start is %+v", p)
	}
}

// TestNoListingFillsItsLastPage keeps the kernel's cache as fuse_add_dirent_to_cache does.
func TestNoListingFillsItsLastPage(t *testing.T) {
	padded := 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		longest := 1 + r.IntN(255)
		var p position
		used, ends := 0, make(map[uint64]bool)
		for i := range r.IntN(400) + 1 {
			name := strings.Repeat("n", 1+r.IntN(longest))
			var sent string
			if p, sent = p.after(actors.Cursor{Cookie: uint64(i + 1), Version: uint16(seed)}, name); sent != name {
				t.Fatalf("%q is sent as %q", name, sent)
			}
			used = cached(used, sent)
			if ends[p.offset()] || p.place != used%pageSize {
				t.Fatalf("seed %d: entry %d ends at %+v, but %d bytes are used", seed, i, p, used)
			}
			ends[p.offset()] = true
		}
		p, sent := p.after(actors.Cursor{Cookie: tree.DotDotCookie, Version: uint16(seed)}, "..")
		if used = cached(used, sent); used%pageSize == 0 || strings.TrimRight(sent, "\x00") != ".." {
			t.Errorf("seed %d: with %q the listing has %d bytes", seed, sent, used)
		}
		if end := (position{cursor: actors.Cursor{Cookie: tree.DotDotCookie}}); p.offset() != end.offset() {
			t.Errorf("seed %d: it ends at %x, others at %x", seed, p.offset(), end.offset())
		}
		if sent != ".." {
			padded++
		}
	}
	if padded == 0 {
		t.Error("none of these listings would have filled its last page: this test tests nothing")
	}
}

// cached returns how many bytes a listing has in the kernel's pages with one more entry.
func cached(used int, name string) int {
	size := len(fmt.Sprintf("%024d%s", 0, name))
	for size%8 != 0 {
		size++
	}
	if used%4096+size > 4096 {
		used += 4096 - used%4096
	}
	return used + size
}
