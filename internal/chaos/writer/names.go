package writer

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

func (s *Writer) createExclusive() error {
	p, n := s.empty(), model.NewFile(s.mode(), nil)
	errno, effect := model.Make(p, n)
	fd := -1
	err := s.call(errno, effect, func() (err error) {
		fd, err = unix.Open(s.path(p), unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, n.Mode)
		return err
	}, "open O_CREAT|O_EXCL %s, mode %o", p.Path(), n.Mode)
	if err != nil || fd < 0 {
		return err
	}
	return s.fill(&held{fd, n, p.Path()}, s.content())
}

// fill writes a new file and closes it, or holds it.
func (s *Writer) fill(h *held, data []byte) error {
	s.held = append(s.held, h) // a cut closes it
	if err := s.pwrite(h, 0, data); err != nil {
		return err
	}
	if s.r.IntN(6) == 0 && len(s.held) <= holds {
		return nil
	}
	return s.close(len(s.held) - 1)
}

func (s *Writer) createOrTruncate() error {
	p := s.place()
	n := p.Node()
	if n != nil && !n.IsFile() && !n.IsDir() {
		return nil // it would open what the link shows, or wait for the other end of the pipe
	}
	var errno unix.Errno
	var effect model.Effect
	switch {
	case n == nil:
		n = model.NewFile(s.mode(), nil)
		_, effect = model.Make(p, n)
	case n.IsDir():
		errno = unix.EISDIR
	default:
		effect = model.Resize(n, 0)
	}
	fd := -1
	err := s.call(errno, effect, func() (err error) {
		fd, err = unix.Open(s.path(p), unix.O_CREAT|unix.O_TRUNC|unix.O_RDWR|unix.O_CLOEXEC, n.Mode)
		return err
	}, "open O_CREAT|O_TRUNC %s", p.Path())
	if err != nil || fd < 0 {
		return err
	}
	return s.fill(&held{fd, n, p.Path()}, s.content())
}

// temporary makes a file without a name, writes it, and gives it one.
func (s *Writer) temporary() error {
	p := s.empty()
	n := model.NewFile(s.mode(), nil)
	fd := -1
	err := s.call(0, nil, func() (err error) {
		fd, err = unix.Open(filepath.Join(s.w.Root, p.Dir.Path()), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, n.Mode)
		return err
	}, "open O_TMPFILE in %s", p.Dir.Path())
	if err != nil {
		return err
	}
	s.held = append(s.held, &held{fd, n, p.Path()})
	if err := s.pwrite(s.held[len(s.held)-1], 0, s.content()); err != nil {
		return err
	}
	errno, effect := model.Make(p, n)
	if err := s.call(errno, effect, func() error {
		return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, s.path(p), unix.AT_SYMLINK_FOLLOW)
	}, "linkat of it to %s", p.Path()); err != nil {
		return err
	}
	return s.close(len(s.held) - 1)
}

func (s *Writer) makeDir() error {
	p := s.empty()
	if p.Dir.Depth() >= deepest {
		return nil
	}
	return s.mkdir(p, s.mode())
}

func (s *Writer) mkdir(p model.Place, mode uint32) error {
	errno, effect := model.Make(p, model.NewDir(mode))
	return s.call(errno, effect, func() error { return unix.Mkdir(s.path(p), mode) }, "mkdir %s, mode %o", p.Path(), mode)
}

func (s *Writer) makeSymlink() error {
	p, target := s.empty(), fmt.Sprintf("../n%02d", s.r.IntN(names))
	errno, effect := model.Make(p, model.NewLink(target))
	return s.call(errno, effect, func() error { return unix.Symlink(target, s.path(p)) }, "symlink %s", p.Path())
}

func (s *Writer) makePipe() error {
	p, mode := s.empty(), s.mode()
	errno, effect := model.Make(p, model.NewPipe(mode))
	return s.call(errno, effect, func() error { return unix.Mkfifo(s.path(p), mode) }, "mkfifo %s", p.Path())
}

func (s *Writer) link() error {
	from, to := s.mostly(func(n *model.Node) bool { return !n.IsDir() }), s.empty()
	errno, effect := model.Link(from, to)
	return s.call(errno, effect, func() error { return unix.Link(s.path(from), s.path(to)) }, "link %s %s", from.Path(), to.Path())
}

func (s *Writer) unlink() error {
	return s.remove(s.mostly(func(n *model.Node) bool { return !n.IsDir() }))
}

func (s *Writer) remove(p model.Place) error {
	errno, effect := model.Unlink(p)
	return s.call(errno, effect, func() error { return unix.Unlink(s.path(p)) }, "unlink %s", p.Path())
}

func (s *Writer) rmdir() error {
	return s.removeDir(s.mostly(func(n *model.Node) bool { return n.IsDir() && (len(n.Entries) == 0 || s.r.IntN(5) == 0) }))
}

func (s *Writer) removeDir(p model.Place) error {
	errno, effect := model.Rmdir(p)
	return s.call(errno, effect, func() error { return unix.Rmdir(s.path(p)) }, "rmdir %s", p.Path())
}

// removeAll removes a directory and what is in it.
func (s *Writer) removeAll() error {
	top, ok := s.existing((*model.Node).IsDir)
	if !ok {
		return nil
	}
	var places []model.Place
	top.Node().Walk(func(p model.Place) { places = append(places, p) })
	places = append([]model.Place{top}, places...)
	for i := len(places) - 1; i >= 0; i-- {
		remove := s.remove
		if places[i].Node().IsDir() {
			remove = s.removeDir
		}
		if err := remove(places[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Writer) rename() error {
	to := s.empty()
	if s.r.IntN(3) == 0 {
		to = s.mostly(whatever)
	}
	return s.move(s.mostly(whatever), to, 0)
}

func (s *Writer) exchange() error {
	return s.move(s.mostly(whatever), s.mostly(whatever), unix.RENAME_EXCHANGE)
}

func (s *Writer) renameNoReplace() error {
	return s.move(s.mostly(whatever), s.empty(), unix.RENAME_NOREPLACE)
}

func (s *Writer) move(from, to model.Place, flags uint) error {
	if n := from.Node(); n != nil && n.IsDir() && to.Dir.Depth() >= deepest {
		return nil
	}
	errno, effect := model.Rename(from, to, flags)
	return s.call(errno, effect, func() error {
		return unix.Renameat2(unix.AT_FDCWD, s.path(from), unix.AT_FDCWD, s.path(to), flags)
	}, "renameat2 %s %s, flags %d", from.Path(), to.Path(), flags)
}
