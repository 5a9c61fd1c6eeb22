package fusebridge

import (
	"context"
	"fmt"
	"log/slog"

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
	fd, err := mount(ctx, opts)
	if err != nil {
		return nil, err
	}
	r := newRaw(fs, opts)
	c := &conn{
		log: b.log, mountpoint: opts.Mountpoint,
		transport: newTransport(fd, r, r.acls, b.log, newTracer(fs, b.log)),
	}
	c.transport.start()
	select {
	case <-c.transport.ready:
	case <-c.transport.done:
		return nil, fmt.Errorf("%w: %s: the kernel let go of it at once", actors.ErrMount, opts.Mountpoint)
	case <-ctx.Done():
		_ = Detach(opts.Mountpoint)
		<-c.transport.done
		return nil, ctx.Err()
	}
	if err := c.tune(); err != nil {
		b.log.Debug("kernel's defaults stay", slog.Any("error", err)) // they cost speed only
	}
	return c, nil
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

// Counts implements actors.Conn.
func (c *conn) Counts() (requests, errors map[string]uint64) { return c.transport.counts.snapshot() }

// Unmount implements actors.Conn.
func (c *conn) Unmount() error { return Unmount(c.mountpoint) }
