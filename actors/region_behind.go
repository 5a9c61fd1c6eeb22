package actors

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// A directory that cannot be laid out after the new commit was published is left behind, since the switch cannot be taken back:
// some directories show the new commit already, and somebody may have read it. Its last table is kept as owed, from which the
// next one is made as in a switch, and nobody sees it: who asks gets an error, and has it tried again. So the mount shows one
// commit wherever it shows anything, and needs nobody's help when the trouble is over.

// leaveBehind gives up a directory's laying out for now.
func (r *region) leaveBehind(m *retree, err error) {
	dir, t := m.Dir, m.Dir.LastTable()
	err = fmt.Errorf("%w: /%s: %w", ErrBehind, dir.Path(), err)
	r.core.log.Error("a directory cannot be read at the mount's commit", slog.Any("error", err))
	if t != nil {
		dir.SetTable(t.Owed())
		for e := range t.After(0) {
			r.core.notifier.Tell(&invalidateEntry{Parent: dir.Ino, Name: e.Name})
			r.core.eachLower(e.Node, r.core.journal.Moved)            // it may keep its name
			if e.Node.IsDir() && e.Node.State().Pin == m.Switch.pin { // it has its new half already, and would not be visited again
				m.Switch.retree(e.Node)
			}
		}
	}
	r.core.notifier.Tell(&invalidateInode{Ino: dir.Ino})
	m.Switch.failed(err)
	r.laid(m, err)
}

// catchUp begins to lay out a directory that was left behind.
func (r *region) catchUp(dir *tree.Node) {
	if r.retrees[dir] != nil {
		return // a later switch is at it
	}
	late := &switching{pin: dir.State().Pin, done: func() {}}
	m := &retree{Dir: dir, late: true}
	late.begin(&m.part)
	r.retree(m)
}

// laid ends a directory's part in a switch.
func (r *region) laid(m *retree, err error) {
	delete(r.retrees, m.Dir)
	r.drain(r.loading, m.Dir, err)
	m.finish()
}

// upperHalf looks into upper's half of a directory.
type upperHalf struct {
	core *core
	dir  *tree.Node
	file *upper.File // once it was needed
}

func (u *upperHalf) close() {
	if u.file != nil {
		u.file.Release()
	}
}

// find returns what upper has in the directory under a name, nil if nothing.
func (u *upperHalf) find(name string) (*upper.Found, error) {
	if u.dir.State().Where != tree.Upper {
		return nil, nil
	}
	if u.file == nil {
		f, err := u.core.upper.Open(u.dir)
		if err != nil {
			return nil, err
		}
		u.file = f
	}
	found, err := u.core.upper.Store.Find(u.file, name)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return found, err
}
