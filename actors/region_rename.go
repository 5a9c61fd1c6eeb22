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
	if in, begun := r.doubt(m); begun && r.renamedBefore(m, in) {
		return
	}
	from, ok := m.OldParent.Table().Lookup(m.OldName)
	if !ok || m.NewParent.State().Orphan {
		m.finish(errno("rename "+m.OldName, unix.ENOENT))
		return
	}
	n := r.core.index.Canonical(from.Node)
	before := m.NewParent.Table()
	to, replaces := before.Lookup(m.NewName)
	var target *tree.Node
	if replaces {
		target = r.core.index.Canonical(to.Node)
	}
	if err := renamable(m, n, target); err != nil || n == target {
		m.finish(err)
		return
	}
	if r.fixed(n) || m.Flags&unix.RENAME_EXCHANGE != 0 && r.fixed(target) {
		m.finish(errno("rename "+m.OldName, unix.EXDEV))
		return
	}
	if m.Flags&unix.RENAME_EXCHANGE != 0 {
		r.exchange(m, from, to, n, target, before)
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
	standAt(n, m.OldParent, m.OldName)
	if target != nil {
		standAt(target, m.NewParent, m.NewName)
	}
	if !r.promotedAll(m, n, m.OldParent, m.NewParent) || target != nil && several(target) && !r.promoted(m, target) || !r.begin(m, renaming(m, n, target)) {
		return
	}
	if target != nil && !r.detached(m, target) {
		return
	}
	r.renameNow(m, from, to, n, target, before)
}

// fixed tells whether a node stays where it is: a directory with a lower half, in a mount that makes no redirects.
func (r *region) fixed(n *tree.Node) bool {
	return r.core.fixed && n.IsDir() && n.State().HasLower()
}

// promotedAll is promoted for several nodes. The old parent is not in upper with n if n stands elsewhere by another name.
func (r *region) promotedAll(m *rename, nodes ...*tree.Node) bool {
	for _, n := range nodes {
		if !r.promoted(m, n) {
			return false
		}
	}
	return true
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
// directory shows the same at the old name. f is the directory itself.
func (r *region) free(n *tree.Node, f *upper.File, covered bool) error {
	if !n.IsDir() {
		return nil
	}
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
		return r.core.upper.Store.Redirect(f, below.Redirect) // overlayfs may have written one that counts in the old parent only
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
	r.core.dicfuseActor.Tell(&redirected{Node: n})
	return nil
}

// openAll opens those of the nodes that are directories, nil for the others. release gives them back.
func (r *region) openAll(nodes ...*tree.Node) (files []*upper.File, err error) {
	for _, n := range nodes {
		if !n.IsDir() {
			files = append(files, nil)
			continue
		}
		f, err := r.core.upper.Open(n)
		if err != nil {
			release(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func release(files []*upper.File) {
	for _, f := range files {
		if f != nil {
			f.Release()
		}
	}
}

// renameNow does the rename and hands the new parent's half on.
func (r *region) renameNow(m *rename, from, to tree.Entry, n, target *tree.Node, before *tree.Table) {
	covered, err := r.move(m, from, to, n, target)
	if err != nil {
		if target == nil {
			m.finish(err)
			return
		}
		r.core.copyUp.Tell(&reattach{Node: target, Parent: m.NewParent, Name: m.NewName, Msg: m, Err: err})
		return
	}
	m.OldParent.SetTable(m.OldParent.Table().Without(m.OldName))
	r.hand(&adopt{Rename: m, Entry: tree.Entry{Name: m.NewName, Node: n, Covers: covered}, Before: before})
}

// move renames on disk and publishes where the two nodes are now. covered says that the origin has the new name.
func (r *region) move(m *rename, from, to tree.Entry, n, target *tree.Node) (covered bool, err error) {
	files, err := r.openAll(m.OldParent, m.NewParent, n)
	if err != nil {
		return false, err
	}
	defer release(files)
	keep := false
	if target != nil {
		if keep, err = r.keepDisplaced(m, target, files[1]); err != nil {
			return false, err
		}
	}
	end := r.core.upper.Moves.Begin() // until its end nothing may be opened by its node: what is lost would be looked for for ever
	if covered, err = r.moveOnDisk(m, files, from, to, n, target, keep); err != nil {
		end()
		return false, err
	}
	if at := n.Place(); n.IsDir() || at.Parent == m.OldParent && at.Name == m.OldName {
		r.place(n, m.NewParent, m.NewName)
	}
	r.relist(n, m)
	if keep {
		r.orphaned(target)
	}
	end()
	if !keep && target != nil {
		r.loseName(target)
	}
	return covered, nil
}

// keepDisplaced tells whether what a rename displaces from its new name, in dir, must be kept in the work directory.
func (r *region) keepDisplaced(m *rename, target *tree.Node, dir *upper.File) (bool, error) {
	if r.below(target, dir, m.NewName) {
		return false, nil
	}
	return r.mustKeep(target, m.NewParent, m.NewName)
}

// moveOnDisk renames in upper. files are the two parents and what moves; keep is keepDisplaced's answer. covered says that the
// new name held a whiteout.
func (r *region) moveOnDisk(m *rename, files []*upper.File, from, to tree.Entry, n, target *tree.Node, keep bool) (covered bool, err error) {
	oldDir, newDir := files[0], files[1]
	store := r.core.upper.Store
	move := upper.Move{
		From: oldDir, OldName: m.OldName, To: newDir, NewName: m.NewName, Whiteout: from.Covers, Dir: n.IsDir(),
	}
	covered = to.Covers
	switch {
	case target == nil:
		covered = store.HasWhiteout(newDir, m.NewName)
		move.Covered = covered
	case keep && target.IsDir():
		move.Replaced, move.ReplacedDir = target.Ino, true // they are exchanged, not replaced
	case keep:
		if err := store.Keep(newDir, m.NewName, target.Ino); err != nil {
			return false, err
		}
	}
	if err := errors.Join(r.inUpper(n, oldDir, m.OldName), r.free(n, files[2], covered)); err != nil {
		return false, err
	}
	if err := store.Rename(move); err != nil {
		if keep && !move.ReplacedDir {
			_ = store.Reap(target.Ino, target.Type)
		}
		return false, err
	}
	return covered, nil
}

// hand gives the new parent's half of a rename to its region.
func (r *region) hand(a *adopt) {
	if owner := a.Rename.NewParent.Owner; owner != &r.self.Owner {
		owner.Tell(a)
		return
	}
	a.Before = nil // nobody else changes it
	r.adopt(a)
}

// adopt shows a rename in its new parent. A switch that laid that out anew meanwhile did not know of the entry, and the entry
// does not know what the lower layers have there now: it is laid out once more.
func (r *region) adopt(a *adopt) {
	dir := a.Rename.NewParent
	stale := a.Before != nil && a.Before != dir.Table()
	err := r.show(dir, a.Entry)
	if stale && err == nil {
		r.catchUp(dir)
	}
	a.Rename.finish(err)
}

// exchange swaps two names. Each keeps knowing whether the origin has it.
func (r *region) exchange(m *rename, from, to tree.Entry, n, target *tree.Node, before *tree.Table) {
	if !r.promotedAll(m, n, target, m.OldParent, m.NewParent) || !r.begin(m, renaming(m, n, target)) {
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
	r.hand(&adopt{Rename: m, Entry: tree.Entry{Name: m.NewName, Node: n, Covers: to.Covers}, Before: before})
}

func (r *region) exchangeNow(m *rename, from, to tree.Entry, n, target *tree.Node) error {
	files, err := r.openAll(m.OldParent, m.NewParent, n, target)
	if err != nil {
		return err
	}
	defer release(files)
	oldDir, newDir := files[0], files[1]
	if err := errors.Join(
		r.inUpper(n, oldDir, m.OldName), r.inUpper(target, newDir, m.NewName), r.free(n, files[2], to.Covers), r.free(target, files[3], from.Covers),
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
		r.place(n, m.NewParent, m.NewName)
	}
	if atTarget.Parent == m.NewParent && atTarget.Name == m.NewName {
		r.place(target, m.OldParent, m.OldName)
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
