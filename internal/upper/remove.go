package upper

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Orphan takes the name dir/name away from the file with this node number, keeping the file itself in the work directory:
// somebody may have it open, and no file handle tells us. With whiteout, a whiteout takes the name's place in the same
// step.
func (s *Store) Orphan(dir *File, name string, ino uint64, whiteout bool) error {
	defer enter(dir, dir)()
	return s.orphan(dir, name, ino, whiteout)
}

func (s *Store) orphan(dir *File, name string, ino uint64, whiteout bool) error {
	err := unix.Renameat2(dir.fd, name, s.orphans.fd, orphanName(ino), whiteoutFlag(whiteout))
	if !errors.Is(err, unix.EACCES) {
		return wrap("unlink "+name, err)
	}
	// Moving a directory to another parent takes the right to write to it, which rmdir does not, and we may not be root.
	f, operr := s.OpenChild(dir, name, unix.S_IFDIR) // not by its name: chmod follows symbolic links
	if operr != nil {
		return wrap("unlink "+name, err)
	}
	operr = f.Chmod(0o700)
	f.Release()
	if operr != nil {
		return wrap("unlink "+name, err)
	}
	return wrap("unlink "+name, unix.Renameat2(dir.fd, name, s.orphans.fd, orphanName(ino), whiteoutFlag(whiteout)))
}

// Unlink removes one of several names of a file that can be reached without it.
func (s *Store) Unlink(dir *File, name string, whiteout bool) error {
	defer enter(dir, dir)()
	if !whiteout {
		return wrap("unlink "+name, unix.Unlinkat(dir.fd, name, 0))
	}
	tmp := s.tmpName()
	if err := unix.Renameat2(dir.fd, name, s.tmp.fd, tmp, unix.RENAME_WHITEOUT); err != nil {
		return wrap("unlink "+name, err)
	}
	_ = unix.Unlinkat(s.tmp.fd, tmp, 0) // the name is gone: what fails here must not pass for a failure
	return nil
}

// Keep adds a link to f, which stands at dir/name, in the work directory, before a rename replaces that name.
func (s *Store) Keep(dir *File, name string, ino uint64) error {
	return wrap("keep "+name, s.linkAside(dir, name, ino))
}

// Restore takes back an Orphan or a CommitOrphan: the file stands at dir/name, of which upper has nothing. The directory's
// times stay.
func (s *Store) Restore(ino uint64, dir *File, name string) error {
	return keepTimes(dir, func() error {
		return wrap("restore "+name, unix.Renameat2(s.orphans.fd, orphanName(ino), dir.fd, name, unix.RENAME_NOREPLACE))
	})
}

// Kept tells whether a file has a link in the work directory.
func (s *Store) Kept(ino uint64) bool {
	var st unix.Stat_t
	return unix.Fstatat(s.orphans.fd, orphanName(ino), &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// Reap removes an orphan that nobody holds any more; a directory with all that is in it (whiteouts). Missing is fine.
func (s *Store) Reap(ino uint64, typ uint32) error {
	err := s.removeAll(s.orphans, orphanName(ino), typ)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// Move is a rename within upper.
type Move struct {
	From, To         *File // directories
	OldName, NewName string
	Whiteout         bool // the old name is known below: leave a whiteout
	Dir              bool // what moves is a directory
	Covered          bool // the new name holds a whiteout
	Replaced         uint64
	ReplacedDir      bool // the new name holds an empty directory with node number Replaced: it becomes an orphan
}

// Rename moves a name. What stands at the new name is replaced in the same step: a file (see Keep), a whiteout, or the
// directory that the Move names.
func (s *Store) Rename(m Move) error {
	defer enter(m.From, m.To)()
	if !m.Dir {
		return wrap("rename "+m.OldName, unix.Renameat2(m.From.fd, m.OldName, m.To.fd, m.NewName, whiteoutFlag(m.Whiteout)))
	}
	if !m.Covered && !m.ReplacedDir {
		return wrap("rename "+m.OldName, unix.Renameat2(m.From.fd, m.OldName, m.To.fd, m.NewName, whiteoutFlag(m.Whiteout)))
	}
	// rename(2) puts a directory over nothing but an empty directory, and an empty merged one holds whiteouts: exchange the
	// two, then deal with what came to the old place.
	if err := unix.Renameat2(m.From.fd, m.OldName, m.To.fd, m.NewName, unix.RENAME_EXCHANGE); err != nil {
		return wrap("rename "+m.OldName, err)
	}
	if err := s.clearOld(m); err != nil {
		back := unix.Renameat2(m.From.fd, m.OldName, m.To.fd, m.NewName, unix.RENAME_EXCHANGE)
		return errors.Join(err, wrap("undo rename "+m.OldName, back))
	}
	return nil
}

// clearOld deals with what an exchange brought to the old place.
func (s *Store) clearOld(m Move) error {
	if m.ReplacedDir {
		return s.orphan(m.From, m.OldName, m.Replaced, m.Whiteout)
	}
	if m.Whiteout {
		return nil // the new name's whiteout now serves the old one
	}
	return wrap("rename "+m.OldName, unix.Unlinkat(m.From.fd, m.OldName, 0))
}

// Exchange swaps two names.
func (s *Store) Exchange(a *File, aName string, b *File, bName string) error {
	defer enter(a, b)()
	return wrap("exchange "+aName, unix.Renameat2(a.fd, aName, b.fd, bName, unix.RENAME_EXCHANGE))
}

func whiteoutFlag(whiteout bool) uint {
	if whiteout {
		return unix.RENAME_WHITEOUT
	}
	return 0
}
