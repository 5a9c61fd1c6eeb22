package upper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ErrUnusable reports directories that cannot serve as upper and work; its text names the directory and the remedy.
var ErrUnusable = errors.New("upper directory unusable")

// ErrInUse reports an upper whose work directory another mount has locked.
var ErrInUse = errors.New("upper directory in use")

// Config says where the store is.
type Config struct {
	Upper string // made if it is missing
	Work  string // on the same file system, not inside Upper; made if it is missing
	Log   *slog.Logger

	// Volatile has promotions not wait for the disk. An upper that was used so and not closed is refused from then on.
	Volatile bool

	AccessTimes AccessTimes

	// Taken is the format of a store whose process has died, while its mount goes on with this one. What it was building is
	// removed; orphans stay, since somebody may have them open.
	Taken *Format
}

// Format is what Open finds out about the file system.
type Format struct {
	Prefix string // of the marks: trustedPrefix or userPrefix
	ACLs   bool   // it has POSIX ACLs
}

// Store is an open upper directory with its work directory.
type Store struct {
	log      *slog.Logger
	root     *File
	tmp      *File
	orphans  *File
	links    *File // the index, see Index
	lock     int
	private  int    // a mount that only this store sees, or -1
	prefix   string // immutable: Format.Prefix
	acls     bool   // immutable: Format.ACLs
	volatile bool   // immutable: nothing is synced but what applications sync
	marked   *File  // the work directory if it has our volatile mark
	serial   atomic.Uint64
	open     atomic.Int64 // descriptors held by Files

	counting sync.Mutex // held while a count of names is recorded
	turns    turns

	created []string // directories that Open made, innermost first
	uid     uint32   // immutable: what new files belong to before they are given to their owner
	gid     uint32
}

// Open makes the two directories if needed, locks them, tries that they can hold what an overlay needs, and empties what
// an earlier mount left in the work directory.
func Open(cfg Config) (_ *Store, err error) {
	s := &Store{log: cfg.Log, lock: -1, private: -1, volatile: cfg.Volatile, uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	defer func() {
		switch {
		case err == nil:
		case cfg.Taken != nil:
			s.Leave()
		default:
			s.Discard(cfg.Work)
		}
	}()
	if err := checkNesting(cfg, filepath.Abs, cfg.Upper, cfg.Work); err != nil {
		return nil, err
	}
	if s.root, err = s.openDir(cfg.Upper, 0o755); err != nil {
		return nil, err
	}
	work, err := s.openDir(cfg.Work, 0o700)
	if err != nil {
		return nil, err
	}
	defer func() { work.Release() }()
	if work.st.Dev != s.root.st.Dev {
		return nil, fmt.Errorf("%w: --work %s is on another file system than --upper %s: put them on the same one", ErrUnusable, cfg.Work, cfg.Upper)
	}
	if s.root.mountID() != work.mountID() {
		return nil, fmt.Errorf("%w: --work %s is reached by another mount than --upper %s: put them below the same one", ErrUnusable, cfg.Work, cfg.Upper)
	}
	if err := checkNesting(cfg, os.Readlink, s.root.proc(), work.proc()); err != nil {
		return nil, err
	}
	s.root, work = s.reach(cfg, s.root, work)
	if err := s.takeLocks(work, cfg); err != nil {
		return nil, err
	}
	if cfg.Taken != nil {
		err = s.takeOver(work, cfg)
	} else {
		err = s.begin(work, cfg)
	}
	if err != nil {
		return nil, err
	}
	if err := s.openIndex(work); err != nil {
		return nil, unusable(cfg.Work, err)
	}
	return s, nil
}

// begin readies the work directory for a new mount, and tries what the format needs.
func (s *Store) begin(work *File, cfg Config) (err error) {
	if err := s.checkIncompat(work, cfg); err != nil {
		return err
	}
	if s.tmp, err = s.emptyDir(work, "tmp"); err != nil {
		return unusable(cfg.Work, err)
	}
	if s.orphans, err = s.emptyDir(work, "orphans"); err != nil {
		return unusable(cfg.Work, err)
	}
	if err := s.probe(cfg); err != nil || !cfg.Volatile {
		return err
	}
	if err := s.markVolatile(work); err != nil {
		return unusable(cfg.Work, err)
	}
	return nil
}

// Close removes what is left in the work directory, and releases the descriptors and the lock.
func (s *Store) Close() {
	for _, f := range []*File{s.tmp, s.orphans} {
		if f != nil {
			if err := s.clear(f); err != nil {
				s.log.Warn("work directory not emptied", slog.Any("error", err))
			}
		}
	}
	if err := s.unmarkVolatile(); err != nil {
		s.log.Warn("upper stays marked as volatile", slog.Any("error", err))
	}
	s.Leave()
}

// Leave releases the descriptors and the lock only: the mount goes on with another process.
func (s *Store) Leave() {
	for _, f := range []*File{s.tmp, s.orphans, s.links, s.root, s.marked} {
		if f != nil {
			f.Release()
		}
	}
	for _, fd := range []int{s.lock, s.private} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Discard is Close for a mount that did not come about: it also removes the directories that Open made.
func (s *Store) Discard(work string) {
	s.Close()
	for _, path := range s.created {
		for _, name := range []string{"tmp", "orphans", "links", "lock"} {
			if path == work {
				_ = os.Remove(filepath.Join(path, name))
			}
		}
		_ = os.Remove(path) // only if it is empty
	}
}

// Root returns the upper directory itself; the store keeps the reference.
func (s *Store) Root() *File { return s.root }

// Format returns what Open found out.
func (s *Store) Format() Format { return Format{Prefix: s.prefix, ACLs: s.acls} }

// OpenFiles returns how many descriptors are open.
func (s *Store) OpenFiles() int64 { return s.open.Load() }

// checkNesting compares the two directories' paths: as they were given, before anything is made, and then as they are,
// since symbolic links may lead one into the other. An overlay would show its own work directory then.
func checkNesting(cfg Config, real func(string) (string, error), upper, work string) error {
	u, err1 := real(upper)
	w, err2 := real(work)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if u == w || strings.HasPrefix(w+"/", u+"/") || strings.HasPrefix(u+"/", w+"/") {
		return fmt.Errorf("%w: --upper %s and --work %s must not contain each other", ErrUnusable, cfg.Upper, cfg.Work)
	}
	return nil
}

func (s *Store) openDir(path string, mode os.FileMode) (*File, error) {
	if err := s.mkdirAll(path, mode); err != nil {
		return nil, unusable(path, err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, unusable(path, err)
	}
	return s.wrapFd(fd, false)
}

// mkdirAll is os.MkdirAll, remembering what it made.
func (s *Store) mkdirAll(path string, mode os.FileMode) error {
	if _, err := os.Stat(path); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(path); parent != path {
		if err := s.mkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	s.created = append([]string{path}, s.created...)
	return nil
}

// takeLocks excludes other mounts, from each of the two directories: two overlays over one upper corrupt each other's view.
func (s *Store) takeLocks(work *File, cfg Config) (err error) {
	if err := unix.Flock(s.root.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w: %s is the upper of another mount: unmount that one, or give another --upper", ErrInUse, cfg.Upper)
	}
	s.lock, err = unix.Openat(work.fd, "lock", unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return unusable(cfg.Work, err)
	}
	if err := unix.Flock(s.lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%w: %s is the work directory of another mount: unmount that one, or give another --work", ErrInUse, cfg.Work)
	}
	return nil
}

// emptyDir makes work/name, or empties it.
func (s *Store) emptyDir(work *File, name string) (*File, error) {
	dir, err := s.subdir(work, name)
	if err != nil {
		return nil, err
	}
	err = s.clear(dir)
	if err == nil {
		err = dropACLs(dir)
	}
	if err != nil {
		dir.Release()
		return nil, err
	}
	return dir, nil
}

// subdir opens work/name, making it if it is missing.
func (s *Store) subdir(work *File, name string) (*File, error) {
	if err := unix.Mkdirat(work.fd, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, err
	}
	fd, err := unix.Openat(work.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return s.wrapFd(fd, false)
}

// probe tries, in the work directory, what the format needs, and picks the marks' name space.
func (s *Store) probe(cfg Config) error {
	const name = "probe"
	if err := unix.Mkdirat(s.tmp.fd, name, 0o700); err != nil {
		return unusable(cfg.Work, err)
	}
	defer func() { _ = unix.Unlinkat(s.tmp.fd, name, unix.AT_REMOVEDIR) }()
	dir, err := s.OpenChild(s.tmp, name, unix.S_IFDIR)
	if err != nil {
		return unusable(cfg.Work, err)
	}
	defer dir.Release()
	s.acls = holdsACLs(dir)
	for _, prefix := range []string{trustedPrefix, userPrefix} {
		s.prefix = prefix
		if err = s.MarkOpaque(dir); err == nil {
			break
		}
	}
	if full(err) {
		return unusable(cfg.Work, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s keeps no extended attributes (%w): put --upper on ext4, xfs, btrfs or tmpfs", ErrUnusable, cfg.Upper, err)
	}
	if err := s.Whiteout(s.tmp, "whiteout"); full(err) {
		return unusable(cfg.Work, err)
	} else if err != nil {
		return fmt.Errorf("%w: %s cannot hold whiteouts (%w): use Linux 5.8 or later, or run as root", ErrUnusable, cfg.Upper, err)
	}
	return wrap("probe", unix.Unlinkat(s.tmp.fd, "whiteout", 0))
}

func unusable(path string, err error) error {
	remedy := "choose a directory that you may write to"
	switch {
	case errors.Is(err, unix.EROFS):
		remedy = "its file system is read-only: choose another --upper"
	case full(err):
		remedy = "free some space, or choose another --upper"
	case errors.Is(err, unix.EIO):
		remedy = "its disk fails: see the kernel's log, or choose another --upper"
	case errors.Is(err, unix.ENOTDIR):
		remedy = "it is not a directory: choose another --upper"
	}
	return fmt.Errorf("%w: %s: %w: %s", ErrUnusable, path, err, remedy)
}

func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
