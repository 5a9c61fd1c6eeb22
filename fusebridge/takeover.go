package fusebridge

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
)

// notifyResend is FUSE_NOTIFY_RESEND: the kernel queues all requests that were read and not answered once more (Linux 6.9).
const notifyResend = 7

// resendFlag is FUSE_HAS_RESEND, in the second word of INIT's flags.
const resendFlag = 1 << (39 - 32)

// resends tells from its INIT whether the kernel can send requests again.
func resends(init []byte) bool {
	const flags2 = headerSize + 16
	return len(init) >= flags2+4 && binary.NativeEndian.Uint32(init[flags2:])&resendFlag != 0
}

// takeOver serves a mount that another process served. INIT is handled again, since the kernel sends it once, and what the
// other one had read and not answered comes again.
func (c *conn) takeOver(taken *actors.Taken) error {
	if len(taken.Init) < headerSize {
		return fmt.Errorf("%w: %s: the journal has no INIT", actors.ErrNotTaken, c.mountpoint)
	}
	b, err := c.transport.buffer(nil)
	if err != nil {
		return err
	}
	defer b.free()
	_, _ = c.transport.server.HandleRequest([][]byte{taken.Init}, [][]byte{b.out})
	close(c.transport.ready)
	c.transport.resends.Store(resends(taken.Init))
	switch {
	case c.Resends():
		if err := c.notify(notifyResend, nil); err != nil {
			return fmt.Errorf("%w: %s: %w", actors.ErrMount, c.mountpoint, err)
		}
	case !taken.Idle: // who waits for them would wait for ever
		return fmt.Errorf("%w: %s: the server died, and this kernel cannot send again what it had read: Linux 6.9 or later can",
			actors.ErrNotTaken, c.mountpoint)
	}
	c.log.Info("mount taken over", slog.String("on", c.mountpoint))
	return nil
}

// release has the readers end, each when it has answered what it read. Those that wait in read(2) are woken by requests of our
// own, which cost nothing until then; a poll(2) beside each read(2) would cost every request. One too many is answered by the
// next process.
func (t *transport) release(mountpoint string) {
	t.leaving.Store(true)
	if err := unix.SetNonblock(t.fd, true); err != nil { // no reader begins to wait any more
		t.log.Error("leave the mount", slog.Any("error", err))
		return
	}
	go func() {
		for t.idle.Load() > 0 {
			var st unix.Statfs_t
			if err := unix.Statfs(mountpoint, &st); err != nil {
				t.log.Error("leave the mount", slog.Any("error", err))
				return
			}
		}
	}()
}

// keep gives the kernel's end of a new mount to whoever keeps it for the next process.
func (c *conn) keep(give func(*os.File) error) error {
	if give == nil {
		return nil
	}
	fd, err := unix.FcntlInt(uintptr(c.transport.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("%w: dup: %w", actors.ErrMount, err)
	}
	f := os.NewFile(uintptr(fd), "fuse")
	defer func() { _ = f.Close() }()
	return give(f)
}
