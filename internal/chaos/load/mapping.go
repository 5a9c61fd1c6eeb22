package load

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

// mapping is a file that is mapped shared, written through the mapping, and read through it and by read(2).
type mapping struct {
	from     string // which file of the lower layer it is; "" for one that is made
	unlinked bool

	fd   int
	at   []byte
	want []byte
}

func (m *mapping) hold(h *holder, generation int) (err error) {
	path, flags := h.own(fmt.Sprintf("mapped-%t", m.unlinked), generation), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL
	if m.from != "" {
		path, flags = h.path(low(m.from, generation)), unix.O_RDWR
	}
	if m.fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0o644); err != nil {
		return err
	}
	if m.from == "" {
		if _, err := unix.Pwrite(m.fd, model.Bytes(h.r, lowSize), 0); err != nil {
			return err
		}
	}
	if m.want, err = model.ReadAll(m.fd, 1<<20); err != nil {
		return err
	}
	if m.unlinked {
		if err := unix.Unlink(path); err != nil {
			return err
		}
	}
	m.at, err = unix.Mmap(m.fd, 0, len(m.want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return err
}

func (m *mapping) check(h *holder) error {
	at := h.r.IntN(len(m.want) - 100)
	data := model.Bytes(h.r, 1+h.r.IntN(100))
	copy(m.at[at:], data)
	copy(m.want[at:], data)
	switch h.r.IntN(6) {
	case 0:
		if err := unix.Msync(m.at, unix.MS_SYNC); err != nil {
			return fmt.Errorf("msync: %w", err)
		}
	case 1: // the pages go, and come again from upper
		if err := errors.Join(unix.Msync(m.at, unix.MS_SYNC), unix.Madvise(m.at, unix.MADV_DONTNEED), unix.Fadvise(m.fd, 0, 0, unix.FADV_DONTNEED)); err != nil {
			return fmt.Errorf("drop the pages: %w", err)
		}
	}
	if !bytes.Equal(m.at, m.want) {
		return fmt.Errorf("the mapping is %w", model.ErrDiffers)
	}
	got, err := model.ReadAll(m.fd, len(m.want)+1)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, m.want) {
		return fmt.Errorf("what is read is %w", model.ErrDiffers)
	}
	return nil
}

func (m *mapping) drop() {
	if m.at != nil {
		_ = unix.Munmap(m.at)
	}
	m.at = nil
	closeAll(&m.fd)
}
