package actors

import (
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

func (r *region) setAttr(m *setAttr) {
	if m.Node.State().Where == tree.Lower {
		keep := keepAll
		if m.Change.Size != nil && *m.Change.Size == 0 {
			// O_TRUNC must not fetch what it throws away. The promotion then is the truncation, so it must not be interrupted.
			if keep = 0; !m.begin() {
				return
			}
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
	if err := m.Change.apply(f); err != nil {
		m.finish(err)
		return
	}
	m.attr, err = r.core.upper.Attr(m.Node, m.Node.State())
	m.finish(err)
}

// apply makes the changes in the order in which one does not undo another: a change of owner or size clears set-uid, a
// change of size sets the modification time.
func (c *AttrChange) apply(f *upper.File) error {
	if c.UID != nil || c.GID != nil {
		uid, gid := -1, -1
		if c.UID != nil {
			uid = int(*c.UID)
		}
		if c.GID != nil {
			gid = int(*c.GID)
		}
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	if c.Size != nil {
		if err := f.Truncate(*c.Size); err != nil {
			return err
		}
		if c.DropSetID {
			if err := f.DropPrivileges(); err != nil {
				return err
			}
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

func (r *region) setXattr(m *setXattr) {
	if !r.promoted(m, m.Node) || !m.begin() {
		return
	}
	f, err := r.core.upper.Open(m.Node)
	if err != nil {
		m.finish(err)
		return
	}
	defer f.Release()
	if m.Value == nil {
		m.finish(r.core.upper.Store.RemoveXattr(f, m.Name))
		return
	}
	m.finish(r.core.upper.Store.SetXattr(f, m.Name, m.Value, m.Flags))
}
