package fusebridge

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
)

// fsType is our FUSE subtype.
const fsType = "antares-actor"

// MountType is the mounts' type as /proc/self/mountinfo shows it.
const MountType = "fuse." + fsType

// Bridge mounts by FUSE: by mount(2) as root, by fusermount3 otherwise.
type Bridge struct{ log *slog.Logger }

var _ actors.Bridge = (*Bridge)(nil)

// New returns a bridge that logs to log; at debug level, each request.
func New(log *slog.Logger) *Bridge { return &Bridge{log: log} }

// Attach implements actors.Bridge. It returns when the kernel has the mount and its INIT is answered.
func (b *Bridge) Attach(ctx context.Context, fs *actors.FS, opts actors.AttachOptions) (actors.Conn, error) {
	fd, err := kernelEnd(ctx, opts)
	if err != nil {
		return nil, err
	}
	r := newRaw(fs, opts)
	c := &conn{
		log: b.log, mountpoint: opts.Mountpoint,
		transport: newTransport(fd, r, r.acls, opts.Journal, b.log, newTracer(fs, b.log)),
	}
	c.transport.resent = fs.Resent
	if opts.Taken != nil {
		if err := c.takeOver(opts.Taken); err != nil {
			c.transport.close()
			return nil, err
		}
		c.transport.start()
		return c, nil
	}
	c.transport.start()
	select {
	case <-c.transport.ready:
		err = c.keep(opts.Keep)
	case <-c.transport.done:
		return nil, fmt.Errorf("%w: %s: the kernel let go of it at once", actors.ErrMount, opts.Mountpoint)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = Detach(opts.Mountpoint)
		<-c.transport.done
		return nil, err
	}
	if opts.Journal != nil && !c.transport.resends.Load() {
		b.log.Warn("this kernel cannot send requests again (Linux 6.9 can): a planned upgrade keeps the mount, a crash ends it")
	}
	if err := c.tune(); err != nil {
		b.log.Debug("kernel's defaults stay", slog.Any("error", err)) // they cost speed only
	}
	return c, nil
}

// kernelEnd returns the descriptor to serve by: of a new mount, or of the one that is taken over.
func kernelEnd(ctx context.Context, opts actors.AttachOptions) (int, error) {
	if opts.Taken == nil {
		return mount(ctx, opts)
	}
	fd, err := unix.FcntlInt(opts.Taken.Fuse.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, fmt.Errorf("%w: dup: %w", actors.ErrMount, err)
	}
	return fd, unix.SetNonblock(fd, false)
}

// conn is a mount in the kernel.
type conn struct {
	log        *slog.Logger
	mountpoint string
	transport  *transport
}

var _ actors.Conn = (*conn)(nil)

// Done implements actors.Conn.
func (c *conn) Done() <-chan struct{} { return c.transport.done }

// Resends implements actors.Conn.
func (c *conn) Resends() bool { return c.transport.resends.Load() }

// Oldest implements actors.Conn.
func (c *conn) Oldest() (op string, since time.Time) { return c.transport.flying.oldest() }

// Counts implements actors.Conn.
func (c *conn) Counts() (requests, errors map[string]uint64) { return c.transport.counts.snapshot() }

// Release implements actors.Conn.
func (c *conn) Release() { c.transport.release(c.mountpoint) }

// Unmount implements actors.Conn.
func (c *conn) Unmount() error { return Unmount(c.mountpoint) }
