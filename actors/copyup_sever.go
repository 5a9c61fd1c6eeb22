package actors

import (
	"github.com/antares-actor/antares-actor/internal/tree"
)

// Commands of a switch to another commit, to copy-up.
type (
	// sever marks lower nodes as having lost their names, with everything that is known below them, and gives directories
	// their new lower halves; severed goes Back. Promotions into those names end before.
	sever struct {
		Cut    []*tree.Node
		Rebase []rebased
		Pin    *tree.Pin
		Laid   *relaid
		Back   *tree.Owner
	}
	rebased struct {
		Node  *tree.Node
		Lower tree.State
	}
)

func (c *copyUp) sever(m *sever) {
	cut := make(map[*tree.Node]bool, len(m.Cut))
	for _, n := range m.Cut {
		cut[n] = true
	}
	for n, j := range c.jobs {
		if into(n, cut) {
			j.waiting = append(j.waiting, m)
			return
		}
	}
	for _, n := range m.Cut {
		c.cutOff(n)
	}
	for _, b := range m.Rebase {
		if s := *b.Node.State(); s.Where == tree.Lower && !s.Orphan {
			s.Object, s.Mode, s.Below, s.Pin = b.Lower.Object, b.Lower.Mode, b.Lower.Below, m.Pin
			b.Node.SetState(s)
		}
	}
	m.Back.Tell(&severed{Laid: m.Laid, Cut: cut})
}

// eachLower calls f for a lower node that has a name, and for all such below it, that the kernel knows.
func (c *core) eachLower(n *tree.Node, f func(*tree.Node)) {
	if s := n.State(); s.Where != tree.Lower || s.Orphan {
		return
	}
	if c.index.Find(n.Ino) == n {
		f(n)
	}
	if !n.IsDir() {
		return
	}
	if t := n.LastTable(); t != nil {
		for e := range t.After(0) {
			c.eachLower(e.Node, f)
		}
	}
}

// into tells whether a promotion of n goes to one of the names, or below it.
func into(n *tree.Node, names map[*tree.Node]bool) bool {
	for ; n != nil && !n.State().Orphan; n = n.Place().Parent {
		if names[n] {
			return true
		}
	}
	return false
}

// cutOff makes orphans of a lower node and all that is known below it. Nothing of it is in upper, or the node would be.
func (c *copyUp) cutOff(n *tree.Node) {
	if s := n.State(); s.Where != tree.Lower || s.Orphan {
		return
	}
	c.setOrphan(n, true)
	if !n.IsDir() {
		return
	}
	if t := n.LastTable(); t != nil {
		for e := range t.After(0) {
			c.cutOff(e.Node)
		}
	}
	n.Owner.Tell(&vacated{Dir: n})
}
