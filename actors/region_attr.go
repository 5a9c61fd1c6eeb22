package actors

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

func (r *region) setAttr(m *setAttr) {
	if m.Node.State().Where == tree.Lower {
		keep := keepAll
		if m.Change.Size != nil { // what is cut off must not be fetched or copied: the promotion then is the truncation
			keep = *m.Change.Size
		}
		r.core.copyUp.Tell(&promote{Node: m.Node, Keep: keep, Back: &r.self.Owner, Msg: m})
		return
	}
	if !m.begin() {
		return
	}
	f, err := r.core.upper.Open(m.Node)
	if err != nil {
		m.finish(err)
		return
	}
	defer f.Release()
	if err := m.Change.apply(f, m.Who); err != nil {
		m.finish(err)
		return
	}
	m.attr, err = r.core.upper.Attr(m.Node, m.Node.State())
	m.finish(err)
}

// apply makes the changes in the order in which one does not undo another: whose file it is decides about set-gid, a change
// of owner or size clears set-uid, a change of size sets the modification time.
func (c *AttrChange) apply(f *upper.File, who Caller) error {
	if *c == (AttrChange{DropSetID: true}) {
		return dropOnly(f, who)
	}
	if c.DropSetID {
		if _, err := f.DropPrivileges(who.member); err != nil {
			return err
		}
	}
	if c.UID != nil || c.GID != nil {
		if err := f.Chown(idOf(c.UID), idOf(c.GID)); err != nil {
			return err
		}
	}
	if c.Size != nil {
		if err := f.Truncate(*c.Size); err != nil {
			return err
		}
	}
	if c.Mode != nil {
		if err := f.Chmod(*c.Mode); err != nil {
			return err
		}
	}
	if c.Atime == nil && c.Mtime == nil {
		return nil
	}
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	for i, t := range [2]*unix.Timespec{c.Atime, c.Mtime} {
		if t != nil {
			times[i] = *t
		}
	}
	return f.Utimes(times[0], times[1])
}

// dropOnly is a change of nothing else. It comes before a write, and from a chown that names no owner; nobody says which. The
// latter takes nothing from a file that is not the caller's, so a caller who cannot write to the file is not believed.
func dropOnly(f *upper.File, who Caller) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 && !who.mayWrite(&st, f.HasACL()) {
		return nil
	}
	if _, err := f.DropPrivileges(who.member); err != nil {
		return err
	}
	return f.Chown(-1, -1) // for the time of change
}

// idOf is what chown takes: -1 leaves the id as it is.
func idOf(id *uint32) int {
	if id == nil {
		return -1
	}
	return int(*id)
}

func (r *region) setXattr(m *setXattr) {
	if !r.promoted(m, m.Node) {
		return
	}
	f, err := r.core.upper.Open(m.Node)
	if err != nil {
		m.finish(err)
		return
	}
	defer f.Release()
	_, before := r.doubt(m)
	if !before {
		if err := r.settable(f, m); err != nil {
			m.finish(err)
			return
		}
	}
	if !r.begin(m, tree.Intent{Ino: m.Node.Ino}) {
		return
	}
	if m.Value == nil {
		err := r.core.upper.Store.RemoveXattr(f, m.Name)
		if before && errors.Is(err, unix.ENODATA) {
			err = nil
		}
		m.finish(err)
		return
	}
	flags := m.Flags
	if before { // what was missing need not be any more
		flags &^= unix.XATTR_CREATE
	}
	err = r.core.upper.Store.SetXattr(f, m.Name, m.Value, flags)
	if err == nil && m.DropSetGID {
		err = f.DropSetGID()
	}
	m.finish(err)
}

// settable refuses a change that cannot be made, before the journal says that it has begun: what is begun and sent again is
// taken for possible.
func (r *region) settable(f *upper.File, m *setXattr) error {
	if m.Value != nil && m.Flags == 0 || m.Value == nil && upper.IsACL(m.Name) {
		return nil
	}
	_, err := r.core.upper.Store.Xattr(f, m.Name, nil)
	if m.Flags&unix.XATTR_CREATE == 0 {
		return err
	}
	switch {
	case err == nil:
		return errno("setxattr "+m.Name, unix.EEXIST)
	case errors.Is(err, unix.ENODATA):
		return nil
	}
	return err
}
