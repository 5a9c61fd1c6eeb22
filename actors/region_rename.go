package actors

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// rename runs in the region of the old parent. If the new parent belongs to another region, that one publishes its half and
// answers (adopt). Nobody can look in between through the mount: the kernel holds both directories' locks until the answer.
func (r *region) rename(m *rename) {
	if m.Flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 || m.Flags == unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE {
		m.finish(errno("rename", unix.EINVAL))
		return
	}
	if !r.loaded(m, m.OldParent) || !r.loaded(m, m.NewParent) {
		return
	}
	from, ok := m.OldParent.Table().Lookup(m.OldName)
	if !ok || m.NewParent.State().Orphan {
		m.finish(errno("rename "+m.OldName, unix.ENOENT))
		return
	}
	n := r.core.index.Canonical(from.Node)
	to, replaces := m.NewParent.Table().Lookup(m.NewName)
	var target *tree.Node
	if replaces {
		target = r.core.index.Canonical(to.Node)
	}
	if err := renamable(m, n, target); err != nil || n == target {
		m.finish(err)
		return
	}
	if m.Flags&unix.RENAME_EXCHANGE != 0 {
		r.exchange(m, from, to, n, target)
		return
	}
	if target != nil && target.IsDir() {
		if !r.loaded(m, target) {
			return
		}
		if target.Table().Len() > 0 {
			m.finish(errno("rename "+m.NewName, unix.ENOTEMPTY))
			return
		}
	}
	if !r.promoted(m, n) || !r.promoted(m, m.NewParent) || target != nil && several(target) && !r.promoted(m, target) || !m.begin() {
		return
	}
	if target != nil && !r.detached(m, target) {
		return
	}
	r.renameNow(m, from, to, n, target)
}

// renamable applies the rules that need no I/O.
func renamable(m *rename, n, target *tree.Node) error {
	switch {
	case m.Flags&unix.RENAME_EXCHANGE != 0 && target == nil:
		return errno("exchange "+m.NewName, unix.ENOENT)
	case m.Flags&unix.RENAME_NOREPLACE != 0 && target != nil:
		return errno("rename "+m.NewName, unix.EEXIST)
	case target == nil || m.Flags&unix.RENAME_EXCHANGE != 0:
		return nil
	case n.IsDir() && !target.IsDir():
		return errno("rename "+m.NewName, unix.ENOTDIR)
	case !n.IsDir() && target.IsDir():
		return errno("rename "+m.NewName, unix.EISDIR)
	}
	return nil
}

// free readies a directory of upper for standing at a name that the origin has or not: one with a lower half gets a redirect
// to it, any other one must not show what the origin has at the new name. It comes before the rename: after a crash the
// directory shows the same at the old name.
func (r *region) free(n *tree.Node, covered bool) error {
	if !n.IsDir() {
		return nil
	}
	f, err := r.core.upper.Open(n)
	if err != nil {
		return err
	}
	defer f.Release()
	s := *n.State()
	if !s.HasLower() || s.Object == object.EmptyTree && s.Below == nil {
		if covered {
			return r.core.upper.Store.MarkOpaque(f)
		}
		return nil
	}
	below := tree.Below{}
	if s.Below != nil {
		below = *s.Below
	}
	if below.Redirect != "" {
		return nil // it leads to the same place from anywhere
	}
	below.Redirect = n.LowerPath()
	if !s.Object.IsZero() || below.Origin != "" {
		below.Origin = n.OriginPath()
	}
	if err := r.core.upper.Store.Redirect(f, below.Redirect); err != nil {
		return err
	}
	s.Below = &below
	n.SetState(s)
	return nil
}

// renameNow does the rename and hands the new parent's half on.
func (r *region) renameNow(m *rename, from, to tree.Entry, n, target *tree.Node) {
	covered, err := r.move(m, from, to, n, target)
	if err != nil {
		if target != nil && target.State().Where == tree.Lower {
			r.core.copyUp.Tell(&reattach{Node: target})
		}
		m.finish(err)
		return
	}
	m.OldParent.SetTable(m.OldParent.Table().Without(m.OldName))
	r.hand(&adopt{Rename: m, Entry: tree.Entry{Name: m.NewName, Node: n, Covers: covered}})
}

// move renames on disk and publishes where the two nodes are now. covered says that the origin has the new name.
func (r *region) move(m *rename, from, to tree.Entry, n, target *tree.Node) (covered bool, err error) {
	defer r.core.upper.Moves.Begin()()
	kept, covered, err := r.moveOnDisk(m, from, to, n, target)
	if err != nil {
		return false, err
	}
	if at := n.Place(); n.IsDir() || at.Parent == m.OldParent && at.Name == m.OldName {
		n.SetPlace(tree.Place{Parent: m.NewParent, Name: m.NewName})
	}
	r.relist(n, m)
	if kept {
		r.orphaned(target)
	} else if target != nil {
		r.loseName(target)
	}
	return covered, nil
}

// moveOnDisk renames in upper. kept says that the target now stands in the work directory; covered, that the new name held
// a whiteout.
func (r *region) moveOnDisk(m *rename, from, to tree.Entry, n, target *tree.Node) (kept, covered bool, err error) {
	oldDir, err := r.core.upper.Open(m.OldParent)
	if err != nil {
		return false, false, err
	}
	defer oldDir.Release()
	newDir, err := r.core.upper.Open(m.NewParent)
	if err != nil {
		return false, false, err
	}
	defer newDir.Release()
	store := r.core.upper.Store
	move := upper.Move{
		From: oldDir, OldName: m.OldName, To: newDir, NewName: m.NewName, Whiteout: from.Covers, Dir: n.IsDir(),
	}
	covered = to.Covers
	if target == nil {
		covered = store.HasWhiteout(newDir, m.NewName)
		move.Covered = covered
	} else if target.IsDir() && !r.below(target, newDir, m.NewName) {
		move.Replaced, move.ReplacedDir, kept = target.Ino, true, true
	} else if kept, err = r.displace(target, m.NewParent, newDir, m.NewName); err != nil {
		return false, false, err
	}
	if err := errors.Join(r.inUpper(n, oldDir, m.OldName), r.free(n, covered)); err != nil {
		return false, false, err
	}
	if err := store.Rename(move); err != nil {
		if kept && !move.ReplacedDir {
			_ = store.Reap(target.Ino, target.Type)
		}
		return false, false, err
	}
	return kept, covered, nil
}

// hand gives the new parent's half of a rename to its region.
func (r *region) hand(a *adopt) {
	if owner := a.Rename.NewParent.Owner; owner != &r.self.Owner {
		owner.Tell(a)
		return
	}
	r.adopt(a)
}

func (r *region) adopt(a *adopt) {
	a.Rename.finish(r.show(a.Rename.NewParent, a.Entry))
}

// exchange swaps two names. Each keeps knowing whether the origin has it.
func (r *region) exchange(m *rename, from, to tree.Entry, n, target *tree.Node) {
	if !r.promoted(m, n) || !r.promoted(m, target) || !m.begin() {
		return
	}
	if err := r.exchangeNow(m, from, to, n, target); err != nil {
		m.finish(err)
		return
	}
	if err := r.show(m.OldParent, tree.Entry{Name: m.OldName, Node: target, Covers: from.Covers}); err != nil {
		m.finish(err)
		return
	}
	r.hand(&adopt{Rename: m, Entry: tree.Entry{Name: m.NewName, Node: n, Covers: to.Covers}})
}

func (r *region) exchangeNow(m *rename, from, to tree.Entry, n, target *tree.Node) error {
	oldDir, err := r.core.upper.Open(m.OldParent)
	if err != nil {
		return err
	}
	defer oldDir.Release()
	newDir, err := r.core.upper.Open(m.NewParent)
	if err != nil {
		return err
	}
	defer newDir.Release()
	if err := errors.Join(
		r.inUpper(n, oldDir, m.OldName), r.inUpper(target, newDir, m.NewName), r.free(n, to.Covers), r.free(target, from.Covers),
	); err != nil {
		return err
	}
	end := r.core.upper.Moves.Begin()
	defer end()
	if err := r.core.upper.Store.Exchange(oldDir, m.OldName, newDir, m.NewName); err != nil {
		return err
	}
	atN, atTarget := n.Place(), target.Place()
	if atN.Parent == m.OldParent && atN.Name == m.OldName {
		n.SetPlace(tree.Place{Parent: m.NewParent, Name: m.NewName})
	}
	if atTarget.Parent == m.NewParent && atTarget.Name == m.NewName {
		target.SetPlace(tree.Place{Parent: m.OldParent, Name: m.OldName})
	}
	r.relist(n, m)
	r.relist(target, m)
	return nil
}

// relist has the kernel drop the listing that it caches of a directory whose ".." is another one now.
func (r *region) relist(n *tree.Node, m *rename) {
	if n.IsDir() && m.OldParent != m.NewParent {
		r.core.notifier.Tell(&invalidateInode{Ino: n.Ino})
	}
}
