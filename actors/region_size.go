package actors

import (
	"fmt"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// sizesAtOnce bounds how many files' sizes are asked for together: all of nearly any directory.
const sizesAtOnce = 1024

// resolveSize parks the message until the file's size is known. Where the origin can tell many sizes for little more than
// one, the whole directory's are asked for: who stats one file of a directory mostly stats the others next.
func (r *region) resolveSize(m *resolveSize) {
	n := m.Node
	if s := n.State(); s.Where == tree.Upper || s.Size != tree.UnknownSize {
		m.size = s.Size
		m.finish(nil)
		return
	}
	_, asked := r.sizing[n]
	r.sizing[n] = append(r.sizing[n], m)
	if asked {
		return
	}
	ask := r.sizeOf(n)
	if dir := n.Place().Parent; r.core.source.batches() && dir.Owner == &r.self.Owner && dir.Table() != nil {
		r.addSiblings(ask, dir.Table())
	}
	r.core.dicfuseActor.Tell(ask)
}

// sizeOf asks for one file's size.
func (r *region) sizeOf(n *tree.Node) *readSizes {
	return &readSizes{Nodes: []*tree.Node{n}, IDs: []object.ID{n.State().Object}, To: &r.self.Owner}
}

// addSiblings adds the files of the directory whose sizes nobody has asked for.
func (r *region) addSiblings(ask *readSizes, t *tree.Table) {
	for e := range t.After(0) {
		if len(ask.Nodes) == sizesAtOnce {
			return
		}
		s := e.Node.State()
		if s.Where == tree.Upper || s.Size != tree.UnknownSize {
			continue
		}
		if _, asked := r.sizing[e.Node]; asked {
			continue
		}
		r.sizing[e.Node] = nil
		ask.Nodes, ask.IDs = append(ask.Nodes, e.Node), append(ask.IDs, s.Object)
	}
}

func (r *region) sized(m *sized) {
	if m.Err == nil {
		r.core.copyUp.Tell(&learnSizes{Nodes: m.Nodes, Sizes: m.Sizes})
	}
	for i, n := range m.Nodes {
		waiting := r.sizing[n]
		delete(r.sizing, n)
		for _, w := range waiting {
			q, err := w.(*resolveSize), m.Err
			if err == nil {
				if q.size = m.Sizes[i]; q.size < 0 {
					err = fmt.Errorf("%w: no size of %s", ErrOrigin, n.Path())
				}
			}
			q.finish(err)
		}
	}
}
