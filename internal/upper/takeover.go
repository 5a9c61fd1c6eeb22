package upper

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// takeOver opens the work directory as another process left it.
func (s *Store) takeOver(work *File, cfg Config) (err error) {
	if s.tmp, err = s.emptyDir(work, "tmp"); err != nil {
		return unusable(cfg.Work, err)
	}
	if s.orphans, err = s.subdir(work, "orphans"); err != nil {
		return unusable(cfg.Work, err)
	}
	s.prefix, s.acls = cfg.Taken.Prefix, cfg.Taken.ACLs
	if cfg.Volatile {
		work.Acquire()
		s.marked = work
	}
	return nil
}

// Orphan is a file in the work directory that has lost its last name.
type Orphan struct {
	Ino  uint64 // of its node
	Type uint32 // S_IFMT bits
}

// Orphans lists them.
func (s *Store) Orphans() ([]Orphan, error) {
	found, err := s.Scan(s.orphans)
	if err != nil {
		return nil, err
	}
	var all []Orphan
	for _, e := range found {
		if ino, err := strconv.ParseUint(e.Name, 16, 64); err == nil {
			all = append(all, Orphan{Ino: ino, Type: e.Type})
		}
	}
	return all, nil
}

// StatOrphan returns the attributes of an orphan; ErrNotExist if there is none with this node number.
func (s *Store) StatOrphan(ino uint64) (unix.Stat_t, error) {
	return s.StatChild(s.orphans, orphanName(ino))
}

// Complete finishes a Create of dir/name that the death of its process cut short, or did not: it does all that comes after the
// making of the file.
func (s *Store) Complete(dir, f *File, b Birth) error {
	b, err := s.Inherit(dir, b)
	if err != nil {
		return err
	}
	return s.adopt(f, b)
}

// linkAside makes dir/name known in the work directory under a node's number. What another process left under that number,
// having died before the name was replaced, goes.
func (s *Store) linkAside(dir *File, name string, ino uint64) error {
	err := unix.Linkat(dir.fd, name, s.orphans.fd, orphanName(ino), 0)
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := unix.Unlinkat(s.orphans.fd, orphanName(ino), 0); err != nil {
		return err
	}
	return unix.Linkat(dir.fd, name, s.orphans.fd, orphanName(ino), 0)
}
