package fusebridge

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// raw turns the protocol's operations into calls of an actors.FS. Its methods are split by op family over raw_*.go.
type raw struct {
	fuse.RawFileSystem // answers ENOSYS to what the kernel never sends us: locks and ioctl are overridden below
	fs                 *actors.FS
	acls               bool  // immutable: upper holds POSIX ACLs
	ids                idMap // immutable
	eager              bool  // immutable: files are copied up when they are opened for writing
	strict             bool  // immutable: what is opened is read from us again, since that moves its access time
}

var _ fuse.RawFileSystem = (*raw)(nil)

func newRaw(fs *actors.FS, opts actors.AttachOptions) *raw {
	return &raw{
		RawFileSystem: fuse.NewDefaultRawFileSystem(), fs: fs, acls: fs.ACLs(),
		ids: idMap{uids: opts.UIDs, gids: opts.GIDs}, eager: opts.CopyUpOnOpen, strict: opts.Kernel.StrictAccessTimes,
	}
}

// fillAttr and fillEntry put attributes into an answer.
func (r *raw) fillAttr(a *tree.Attr, out *fuse.Attr) {
	r.ids.shown(a)
	fillAttr(a, out)
}

func (r *raw) fillEntry(a *tree.Attr, out *fuse.EntryOut) {
	r.ids.shown(a)
	fillEntry(a, out)
}

// String implements fuse.RawFileSystem.
func (r *raw) String() string { return fsType }

// Lookup implements fuse.RawFileSystem.
func (r *raw) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	a, err := r.fs.Lookup(caller(cancel, h), h.NodeId, name)
	if errors.Is(err, syscall.ENOENT) && !errors.Is(err, actors.ErrOrigin) {
		absent(out)
		return fuse.OK
	}
	if err != nil {
		return status(err)
	}
	r.fillEntry(&a, out)
	return fuse.OK
}

// Forget implements fuse.RawFileSystem.
func (r *raw) Forget(nodeid, nlookup uint64) { r.fs.Forget(nodeid, nlookup) }

// The operations that stateless mode turns off.

// Open implements fuse.RawFileSystem: see the package comment. Only a mount that copies up at open, or
// has strict access times, answers it.
func (r *raw) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if !r.eager && !r.strict {
		return fuse.ENOSYS
	}
	if !r.strict {
		out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	}
	if !r.eager || in.Flags&unix.O_ACCMODE == unix.O_RDONLY {
		return fuse.OK
	}
	return status(r.fs.Promote(caller(cancel, &in.InHeader), in.NodeId))
}

// OpenDir implements fuse.RawFileSystem: see the package comment.
func (r *raw) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.ENOSYS }

// Create implements fuse.RawFileSystem: see the package comment. The kernel sends MKNOD instead.
func (r *raw) Create(<-chan struct{}, *fuse.CreateIn, string, *fuse.CreateOut) fuse.Status {
	return fuse.ENOSYS
}

// Flush implements fuse.RawFileSystem: see the package comment.
func (r *raw) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Access implements fuse.RawFileSystem: the kernel checks by itself (default_permissions).
func (r *raw) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status { return fuse.ENOSYS }

// Release implements fuse.RawFileSystem; it comes after TMPFILE, and after an Open that is answered.
func (r *raw) Release(<-chan struct{}, *fuse.ReleaseIn) {}

// ReleaseDir implements fuse.RawFileSystem.
func (r *raw) ReleaseDir(*fuse.ReleaseIn) {}

// The operations that Linux's own file systems refuse too.

// Ioctl implements fuse.RawFileSystem: no ioctl is known here, which is ENOTTY.
func (r *raw) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}

// GetLk implements fuse.RawFileSystem; locks stay in the kernel, which does not send it.
func (r *raw) GetLk(<-chan struct{}, *fuse.LkIn, *fuse.LkOut) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}

// SetLk implements fuse.RawFileSystem; see GetLk.
func (r *raw) SetLk(<-chan struct{}, *fuse.LkIn) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}

// SetLkw implements fuse.RawFileSystem; see GetLk.
func (r *raw) SetLkw(<-chan struct{}, *fuse.LkIn) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}
