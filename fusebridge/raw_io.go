package fusebridge

import (
	"math"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// writeKillSuidgid is FUSE_WRITE_KILL_SUIDGID: the writer lacks CAP_FSETID.
const writeKillSuidgid = 1 << 2

// Read implements fuse.RawFileSystem: straight into the reply's buffer.
func (r *raw) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, err := r.fs.Read(caller(cancel, &in.InHeader), in.NodeId, buf, int64(in.Offset))
	if err != nil {
		return nil, status(err)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Write implements fuse.RawFileSystem. A short count without an error tells the caller how far it came.
func (r *raw) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	drop := in.WriteFlags&writeKillSuidgid != 0
	n, err := r.fs.Write(r.ids.caller(cancel, &in.InHeader), in.NodeId, data, int64(in.Offset), drop)
	return uint32(n), status(err)
}

// Fsync implements fuse.RawFileSystem.
func (r *raw) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return status(r.fs.Sync(caller(cancel, &in.InHeader), in.NodeId, in.FsyncFlags&1 != 0))
}

// FsyncDir implements fuse.RawFileSystem.
func (r *raw) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return status(r.fs.Sync(caller(cancel, &in.InHeader), in.NodeId, in.FsyncFlags&1 != 0))
}

// Fallocate implements fuse.RawFileSystem.
func (r *raw) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return status(r.fs.Allocate(r.ids.caller(cancel, &in.InHeader), in.NodeId, in.Mode, int64(in.Offset), int64(in.Length)))
}

// Lseek implements fuse.RawFileSystem.
func (r *raw) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	at, err := r.fs.Seek(caller(cancel, &in.InHeader), in.NodeId, int64(in.Offset), int(in.Whence))
	if err != nil {
		return status(err)
	}
	out.Offset = uint64(at)
	return fuse.OK
}

// CopyFileRange implements fuse.RawFileSystem.
func (r *raw) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	length := int(min(in.Len, math.MaxInt32&^4095)) // the answer has 32 bits; the caller goes on from there
	n, err := r.fs.CopyRange(r.ids.caller(cancel, &in.InHeader), in.NodeId, int64(in.OffIn), in.NodeIdOut, int64(in.OffOut), length)
	return uint32(n), status(err)
}

// Readlink implements fuse.RawFileSystem.
func (r *raw) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	target, err := r.fs.Readlink(caller(cancel, h), h.NodeId)
	if err != nil {
		return nil, status(err)
	}
	switch {
	case target == "": // git can record it, Linux cannot resolve it
		return nil, fuse.Status(syscall.EINVAL)
	case len(target) >= syscall.PathMax: // likewise; the kernel would not take the answer
		return nil, fuse.Status(syscall.ENAMETOOLONG)
	}
	return []byte(target), fuse.OK
}
