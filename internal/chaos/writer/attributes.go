package writer

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

func notLink(n *model.Node) bool { return n.Kind != unix.S_IFLNK }

func (s *Writer) chmod() error {
	p, mode := s.mostly(notLink), s.mode()
	if n := p.Node(); n != nil && !notLink(n) {
		return nil // it would follow it
	}
	errno, effect := model.Chmod(p, mode)
	return s.call(errno, effect, func() error { return unix.Chmod(s.path(p), mode) }, "chmod %s %o", p.Path(), mode)
}

func (s *Writer) setTime() error {
	p, at := s.mostly(whatever), int64(1_000_000_000+s.r.IntN(500_000_000))
	errno, effect := model.SetTime(p, at)
	times := []unix.Timespec{{Sec: at}, {Sec: at}}
	return s.call(errno, effect, func() error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, s.path(p), times, unix.AT_SYMLINK_NOFOLLOW)
	}, "utimensat %s %d", p.Path(), at)
}

func (s *Writer) xattr() string { return fmt.Sprint("user.a", s.r.IntN(3)) }

func (s *Writer) setXattr() error {
	p, name := s.mostly(whatever), s.xattr()
	value := string(model.Bytes(s.r, s.r.IntN(200)))
	flags := []int{0, 0, unix.XATTR_CREATE, unix.XATTR_REPLACE}[s.r.IntN(4)]
	errno, effect := model.SetXattr(p, name, value, flags)
	return s.call(errno, effect, func() error { return unix.Lsetxattr(s.path(p), name, []byte(value), flags) },
		"lsetxattr %s %s, %d bytes, flags %d", p.Path(), name, len(value), flags)
}

func (s *Writer) removeXattr() error {
	p, name := s.mostly(func(n *model.Node) bool { return len(n.Xattrs) > 0 }), s.xattr()
	errno, effect := model.RemoveXattr(p, name)
	return s.call(errno, effect, func() error { return unix.Lremovexattr(s.path(p), name) }, "lremovexattr %s %s", p.Path(), name)
}

// sync has a file or a directory reach the disk.
func (s *Writer) sync() error {
	p, ok := s.existing(func(n *model.Node) bool { return n.IsFile() || n.IsDir() })
	if !ok {
		return nil
	}
	return s.call(0, nil, func() error {
		fd, err := unix.Open(filepath.Join(s.w.Root, p.Path()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Fsync(fd); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		return unix.Close(fd)
	}, "fsync %s", p.Path())
}
