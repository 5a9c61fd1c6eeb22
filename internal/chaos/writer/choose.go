package writer

import (
	"fmt"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

// names is how many different ones a directory may have: few, so that they meet.
const names = 26

// deepest is how far below its root a writer makes directories.
const deepest = 7

// operation is something to do, and how often.
type operation struct {
	weight int
	do     func(*Writer) error
}

var growing = []operation{
	{10, (*Writer).createExclusive}, {6, (*Writer).createOrTruncate}, {8, (*Writer).makeDir}, {4, (*Writer).makeSymlink},
	{2, (*Writer).makePipe}, {6, (*Writer).link}, {4, (*Writer).temporary},
}

var shrinking = []operation{{12, (*Writer).unlink}, {8, (*Writer).rmdir}}

var changing = []operation{
	{14, (*Writer).rename}, {6, (*Writer).exchange}, {4, (*Writer).renameNoReplace}, {6, (*Writer).chmod}, {5, (*Writer).setXattr},
	{3, (*Writer).removeXattr}, {4, (*Writer).truncate}, {8, (*Writer).appendTo}, {8, (*Writer).overwrite}, {3, (*Writer).allocate},
	{3, (*Writer).setTime}, {2, (*Writer).sync}, {6, (*Writer).hold}, {8, (*Writer).useHeld}, {4, (*Writer).letGo}, {1, (*Writer).removeAll},
}

// draw returns an operation. Where it is crowded, removing is the rule.
func (s *Writer) draw() func(*Writer) error {
	weights := [3]int{4, 3, 10}
	if s.count() > crowded {
		weights = [3]int{1, 6, 10}
	}
	n := s.r.IntN(weights[0] + weights[1] + weights[2])
	for i, kind := range [][]operation{growing, shrinking, changing} {
		if n -= weights[i]; n < 0 {
			return s.oneOf(kind)
		}
	}
	return nil
}

func (s *Writer) oneOf(operations []operation) func(*Writer) error {
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	n := s.r.IntN(total)
	for _, o := range operations {
		if n -= o.weight; n < 0 {
			return o.do
		}
	}
	return nil
}

func (s *Writer) count() int {
	n := 0
	for _, top := range s.tops {
		n += top.Count()
	}
	return n
}

// dir returns a directory to work in.
func (s *Writer) dir() *model.Node {
	d := s.tops[s.r.IntN(len(s.tops))]
	for s.r.IntN(10) < 6 {
		var below []*model.Node
		for _, name := range d.Names() {
			if e := d.Entries[name]; e.IsDir() {
				below = append(below, e)
			}
		}
		if len(below) == 0 {
			break
		}
		d = below[s.r.IntN(len(below))]
	}
	return d
}

// place returns a place that has something, or has not.
func (s *Writer) place() model.Place {
	return model.Place{Dir: s.dir(), Name: fmt.Sprintf("n%02d", s.r.IntN(names))}
}

// empty returns a place that mostly has nothing.
func (s *Writer) empty() model.Place {
	p := s.place()
	for range 3 {
		if p.Node() == nil {
			break
		}
		p = s.place()
	}
	return p
}

// existing returns a place that has something that fits, if there is one soon.
func (s *Writer) existing(fits func(*model.Node) bool) (model.Place, bool) {
	for range 8 {
		d := s.dir()
		var found []string
		for _, name := range d.Names() {
			if fits(d.Entries[name]) {
				found = append(found, name)
			}
		}
		if len(found) > 0 {
			return model.Place{Dir: d, Name: found[s.r.IntN(len(found))]}, true
		}
	}
	return model.Place{}, false
}

// mostly returns a place that has something that fits, but now and then any.
func (s *Writer) mostly(fits func(*model.Node) bool) model.Place {
	if p, ok := s.existing(fits); ok && s.r.IntN(8) > 0 {
		return p
	}
	return s.place()
}

func whatever(*model.Node) bool { return true }

// content returns bytes for a file: a few, and rarely many.
func (s *Writer) content() []byte {
	n := s.r.IntN(5000)
	switch s.r.IntN(60) {
	case 0:
		n = 1_500_000 + s.r.IntN(1_000_000) // more than one request holds
	case 1, 2, 3:
		n = s.r.IntN(150_000)
	case 4, 5, 6:
		n = 0
	}
	return model.Bytes(s.r, n)
}

// modes are those that files and directories get.
var modes = []uint32{0o600, 0o640, 0o644, 0o700, 0o755, 0o555}

func (s *Writer) mode() uint32 { return modes[s.r.IntN(len(modes))] }
