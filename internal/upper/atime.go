package upper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// AccessTimes say when reading moves access times; the zero value leaves that to the mount that upper is in. Listing a
// directory never does.
type AccessTimes struct {
	None   bool // not at all
	Strict bool // each time
}

// attr has a mount follow t.
func (t AccessTimes) attr() *unix.MountAttr {
	if t.None {
		return &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR__ATIME, Attr_set: unix.MOUNT_ATTR_NOATIME}
	}
	return &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR__ATIME, Attr_set: unix.MOUNT_ATTR_STRICTATIME}
}

// reach gives the two directories again, by a mount that nobody else sees and that follows cfg.AccessTimes: the kernel asks
// the mount by which a file was opened. Without the right to make one they stay as they are, with a warning.
func (s *Store) reach(cfg Config, root, work *File) (*File, *File) {
	if cfg.AccessTimes == (AccessTimes{}) {
		return root, work
	}
	r, w, err := s.privately(cfg, root, work)
	if err != nil {
		s.log.Warn("access times follow the mount that upper is in", slog.Any("error", err))
		return root, work
	}
	root.Release()
	work.Release()
	return r, w
}

func (s *Store) privately(cfg Config, root, work *File) (r, w *File, err error) {
	upperPath, err1 := os.Readlink(root.proc())
	workPath, err2 := os.Readlink(work.proc())
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	top := shared(upperPath, workPath)
	// Both by one mount: nothing can be renamed between two.
	if s.private, err = unix.OpenTree(unix.AT_FDCWD, top, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC); err != nil {
		s.private = -1
		return nil, nil, wrap("clone the mount of "+top, err)
	}
	err = wrap("set its access times", unix.MountSetattr(s.private, "", unix.AT_EMPTY_PATH, cfg.AccessTimes.attr()))
	if err == nil {
		r, err = s.again(root, top, upperPath)
	}
	if err == nil {
		w, err = s.again(work, top, workPath)
	}
	if err == nil {
		return r, w, nil
	}
	if r != nil {
		r.Release()
	}
	_ = unix.Close(s.private)
	s.private = -1
	return nil, nil, err
}

// again opens by the private mount, which begins at top, the directory that path leads to.
func (s *Store) again(dir *File, top, path string) (*File, error) {
	rel, err := filepath.Rel(top, path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat2(s.private, rel, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, wrap("open "+path+" by another mount", err)
	}
	f, err := s.wrapFd(fd, false)
	if err == nil && (f.st.Dev != dir.st.Dev || f.st.Ino != dir.st.Ino) { // something is mounted between the two
		f.Release()
		return nil, fmt.Errorf("upper: %s is in another mount than %s", path, top)
	}
	return f, err
}

// mountID names the mount by which f was opened; 0 if the kernel does not tell (before Linux 5.8).
func (f *File) mountID() uint64 {
	var st unix.Statx_t
	if err := unix.Statx(f.fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return 0
	}
	return st.Mnt_id
}

// shared is the directory that both absolute paths are below.
func shared(a, b string) string {
	for a = filepath.Dir(a); a != "/" && !strings.HasPrefix(b, a+"/"); {
		a = filepath.Dir(a)
	}
	return a
}
