package load

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

// nameless is an open file that has no name any more.
type nameless struct {
	from  string // which file of the lower layer it is; "" for one that is made
	still bool   // it is never changed, so never copied up

	fd   int
	node *model.Node
}

func (n *nameless) hold(h *holder, generation int) (err error) {
	path, flags := h.own("nameless", generation), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL
	if n.from != "" {
		path, flags = h.path(low(n.from, generation)), unix.O_RDWR
	}
	if n.fd, err = unix.Open(path, flags|unix.O_CLOEXEC, 0o644); err != nil {
		return err
	}
	n.node = model.NewFile(0o644, nil)
	if n.from == "" {
		if err := n.write(h.r, 20_000); err != nil {
			return err
		}
	} else if n.node.Data, err = model.ReadAll(n.fd, 1<<20); err != nil || len(n.node.Data) != lowSize {
		return fmt.Errorf("%d bytes: %w", len(n.node.Data), errors.Join(err, model.ErrDiffers))
	}
	return unix.Unlink(path)
}

// write changes some bytes.
func (n *nameless) write(r *rand.Rand, most int) error {
	at, data := r.IntN(len(n.node.Data)+1), model.Bytes(r, 1+r.IntN(most))
	if at+len(data) > 200_000 {
		model.Resize(n.node, 1000)()
		return unix.Ftruncate(n.fd, 1000)
	}
	if done, err := unix.Pwrite(n.fd, data, int64(at)); err != nil || done != len(data) {
		return fmt.Errorf("%d of %d bytes written: %w", done, len(data), err)
	}
	model.Write(n.node, at, data)()
	return nil
}

func (n *nameless) check(h *holder) error {
	if !n.still {
		if err := n.write(h.r, 6000); err != nil {
			return err
		}
	}
	if h.r.IntN(8) == 0 { // or all of it would come from the kernel's cache
		if err := errors.Join(unix.Fsync(n.fd), unix.Fadvise(n.fd, 0, 0, unix.FADV_DONTNEED)); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(n.fd, &st); err != nil {
		return err
	}
	return errors.Join(n.node.SameStat("it", &st), n.node.SameBytes("it", n.fd))
}

func (n *nameless) drop() { closeAll(&n.fd) }
