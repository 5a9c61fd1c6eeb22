package writer

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

const (
	holds   = 8         // files that are held open
	largest = 3_000_000 // bytes of a file
)

func (s *Writer) truncate() error {
	p := s.mostly((*model.Node).IsFile)
	if n := p.Node(); n != nil && !notLink(n) {
		return nil // it would follow it
	}
	size := s.size(p.Node())
	errno, effect := model.Truncate(p, size)
	return s.call(errno, effect, func() error { return unix.Truncate(s.path(p), int64(size)) }, "truncate %s %d", p.Path(), size)
}

// size is a new size for a file: nothing, less, or a little more.
func (s *Writer) size(n *model.Node) int {
	now := 0
	if n != nil {
		now = len(n.Data)
	}
	if s.r.IntN(4) == 0 {
		return 0
	}
	return min(largest, s.r.IntN(now+3000))
}

// appendTo appends to a file, and looks where it went.
func (s *Writer) appendTo() error {
	return s.opened(unix.O_WRONLY|unix.O_APPEND, func(h *held) error {
		data := s.content()
		if len(h.node.Data)+len(data) > largest {
			return nil
		}
		return s.transfer(h, len(h.node.Data), data, func(b []byte) (int, error) { return unix.Write(h.fd, b) }, "append")
	})
}

func (s *Writer) overwrite() error {
	return s.opened(unix.O_RDWR, func(h *held) error { return s.writeSomewhere(h) })
}

func (s *Writer) writeSomewhere(h *held) error {
	data := s.content()
	at := s.r.IntN(len(h.node.Data) + 2000)
	if at+len(data) > largest {
		return nil
	}
	return s.pwrite(h, at, data)
}

func (s *Writer) allocate() error {
	return s.opened(unix.O_RDWR, func(h *held) error {
		at, length := s.r.IntN(len(h.node.Data)+3000), 1+s.r.IntN(9000)
		if s.r.IntN(2) == 0 {
			return s.call(0, model.Punch(h.node, at, length), func() error {
				return unix.Fallocate(h.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(at), int64(length))
			}, "fallocate to punch %d bytes at %d of descriptor %d", length, at, h.fd)
		}
		return s.call(0, model.Allocate(h.node, at, length), func() error {
			return unix.Fallocate(h.fd, 0, int64(at), int64(length))
		}, "fallocate %d bytes at %d of descriptor %d", length, at, h.fd)
	})
}

// opened opens a file for something.
func (s *Writer) opened(flags int, use func(*held) error) error {
	h, err := s.open(flags)
	if h == nil || err != nil {
		return err
	}
	if err := use(h); err != nil {
		return err
	}
	return s.close(slices.Index(s.held, h))
}

// open opens a file and holds it. There may be none.
func (s *Writer) open(flags int) (*held, error) {
	p, ok := s.existing((*model.Node).IsFile)
	if !ok {
		return nil, nil
	}
	h := &held{-1, p.Node(), p.Path()}
	err := s.call(0, nil, func() (err error) {
		h.fd, err = unix.Open(s.path(p), flags|unix.O_CLOEXEC, 0)
		return err
	}, "open %s, flags %o", p.Path(), flags)
	if err == nil {
		s.held = append(s.held, h)
	}
	return h, err
}

// pwrite writes at an offset.
func (s *Writer) pwrite(h *held, at int, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	return s.transfer(h, at, data, func(b []byte) (int, error) { return unix.Pwrite(h.fd, b, int64(at)) }, "write")
}

// transfer writes with one call. It may be cut off between two pages, or between two requests.
func (s *Writer) transfer(h *held, at int, data []byte, write func([]byte) (int, error), what string) error {
	if len(data) == 0 {
		return nil
	}
	err := s.call(0, model.Write(h.node, at, data), func() error {
		n, err := write(data)
		if err == nil && n < len(data) { // the next one says why
			if _, err = unix.Pwrite(h.fd, data[n:], int64(at+n)); err == nil {
				err = fmt.Errorf("%w: only %d bytes", ErrWrong, n)
			}
		}
		return err
	}, "%s %d bytes at %d of descriptor %d", what, len(data), at, h.fd)
	cut := new(cutOff)
	if errors.As(err, &cut) {
		cut.node, cut.effects = h.node, parts(h.node, at, data)
	}
	return err
}

// parts are the effects that a write may have had when it was cut off: it ends with some page.
func parts(n *model.Node, at int, data []byte) (effects []model.Effect) {
	const page = 4096
	for end := page - at%page; end < len(data); end += page {
		effects = append(effects, model.WriteSome(n, at, data, end))
	}
	return append(effects, model.Write(n, at, data))
}

// hold opens a file for later.
func (s *Writer) hold() error {
	if len(s.held) >= holds {
		return s.letGo()
	}
	_, err := s.open(unix.O_RDWR)
	return err
}

func (s *Writer) anyHeld() *held {
	if len(s.held) == 0 {
		return nil
	}
	return s.held[s.r.IntN(len(s.held))]
}

// useHeld changes a file that may have lost its name.
func (s *Writer) useHeld() error {
	h := s.anyHeld()
	if h == nil {
		return nil
	}
	switch s.r.IntN(4) {
	case 0:
		size := s.size(h.node)
		return s.call(0, model.Resize(h.node, size), func() error { return unix.Ftruncate(h.fd, int64(size)) }, "ftruncate %d %d", h.fd, size)
	case 1:
		mode := s.mode()
		return s.call(0, func() { h.node.Mode = mode }, func() error { return unix.Fchmod(h.fd, mode) }, "fchmod %d %o", h.fd, mode)
	}
	return s.writeSomewhere(h)
}

func (s *Writer) letGo() error {
	if len(s.held) == 0 {
		return nil
	}
	return s.close(s.r.IntN(len(s.held)))
}

func (s *Writer) close(i int) error {
	h := s.held[i]
	s.held = slices.Delete(s.held, i, i+1)
	return s.call(0, nil, func() error { return unix.Close(h.fd) }, "close %d", h.fd)
}

func (s *Writer) closeAll() error {
	for len(s.held) > 0 {
		if err := s.lookAt(s.held[0]); err != nil {
			return err
		}
		if err := s.close(0); err != nil {
			return err
		}
	}
	return nil
}
