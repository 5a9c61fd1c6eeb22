package upper

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrVolatile reports an upper that was used without syncs and not unmounted cleanly. It is an ErrUnusable.
var ErrVolatile = fmt.Errorf("%w", ErrUnusable)

// Kernel overlayfs refuses a work directory with anything in work/incompat, and makes work/incompat/volatile there for a
// volatile mount. So do we, for each other's sake.
var incompatPath = []string{"work", "incompat"}

const volatileName = "volatile"

// checkIncompat refuses a work directory in which somebody left a mark that its upper cannot be used as usual.
func (s *Store) checkIncompat(work *File, cfg Config) error {
	dir, err := s.openPath(work, incompatPath, false)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return unusable(cfg.Work, err)
	}
	defer dir.Release()
	found, err := s.Scan(dir)
	if err != nil {
		return unusable(cfg.Work, err)
	}
	at := filepath.Join(cfg.Work, filepath.Join(incompatPath...))
	for _, e := range found {
		if e.Name == volatileName {
			return fmt.Errorf("%w: %s was used with --volatile and not unmounted cleanly: after a crash of the machine files in it may be damaged: delete it and %s, or, to use it as it is, remove %s",
				ErrVolatile, cfg.Upper, cfg.Work, filepath.Join(at, volatileName))
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %s belongs to an overlay with the unknown feature %q: give another --upper and --work", ErrUnusable, at, found[0].Name)
	}
	return nil
}

// markVolatile leaves the mark, which Close removes.
func (s *Store) markVolatile(work *File) error {
	dir, err := s.openPath(work, incompatPath, true)
	if err != nil {
		return err
	}
	defer dir.Release()
	if err := unix.Mkdirat(dir.fd, volatileName, 0o700); err != nil {
		return wrap("make "+volatileName, err)
	}
	work.Acquire()
	s.marked = work
	return nil
}

// unmarkVolatile removes the mark and the directories around it, if nobody else uses them.
func (s *Store) unmarkVolatile() error {
	if s.marked == nil {
		return nil
	}
	names := append([]string{}, incompatPath...)
	err := unix.Unlinkat(s.marked.fd, strings.Join(append(names, volatileName), "/"), unix.AT_REMOVEDIR)
	for ; err == nil && len(names) > 0; names = names[:len(names)-1] {
		if unix.Unlinkat(s.marked.fd, strings.Join(names, "/"), unix.AT_REMOVEDIR) != nil {
			break // not empty: kernel overlayfs has something there
		}
	}
	return wrap("remove "+volatileName, err)
}

// openPath opens the directory that the names lead to, making what is missing if told so.
func (s *Store) openPath(dir *File, names []string, create bool) (*File, error) {
	dir.Acquire()
	for _, name := range names {
		if create {
			if err := unix.Mkdirat(dir.fd, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
				dir.Release()
				return nil, wrap("make "+name, err)
			}
		}
		next, err := s.OpenChild(dir, name, unix.S_IFDIR)
		dir.Release()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}
