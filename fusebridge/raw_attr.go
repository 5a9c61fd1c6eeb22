package fusebridge

import (
	"bytes"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// GetAttr implements fuse.RawFileSystem.
func (r *raw) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	a, err := r.fs.Getattr(caller(cancel, &in.InHeader), in.NodeId)
	if err != nil {
		return status(err)
	}
	r.fillAttr(&a, &out.Attr)
	out.SetTimeout(forever)
	return fuse.OK
}

// Statx implements fuse.RawFileSystem. The kernel sends it instead of GETATTR for callers that ask for the time of birth,
// which the answer leaves out: the layers below do not all have one.
func (r *raw) Statx(cancel <-chan struct{}, in *fuse.StatxIn, out *fuse.StatxOut) fuse.Status {
	a, err := r.fs.Getattr(caller(cancel, &in.InHeader), in.NodeId)
	if err != nil {
		return status(err)
	}
	r.ids.shown(&a)
	stamp := func(t unix.Timespec) fuse.SxTime { return fuse.SxTime{Sec: uint64(t.Sec), Nsec: uint32(t.Nsec)} }
	out.SetTimeout(forever)
	out.Statx = fuse.Statx{
		Mask: unix.STATX_BASIC_STATS, Blksize: a.Blksize, Nlink: a.Nlink, Uid: a.UID, Gid: a.GID,
		Mode: uint16(a.Mode), Ino: a.Ino, Size: uint64(a.Size), Blocks: uint64(a.Blocks),
		Atime: stamp(a.Atime), Mtime: stamp(a.Mtime), Ctime: stamp(a.Ctime),
		RdevMajor: unix.Major(a.Rdev), RdevMinor: unix.Minor(a.Rdev),
	}
	return fuse.OK
}

// SetAttr implements fuse.RawFileSystem.
func (r *raw) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	c := change(in)
	if err := r.ids.change(&c); err != nil {
		return status(err)
	}
	a, err := r.fs.Setattr(r.ids.caller(cancel, &in.InHeader), in.NodeId, c)
	if err != nil {
		return status(err)
	}
	r.fillAttr(&a, &out.Attr)
	out.SetTimeout(forever)
	return fuse.OK
}

// StatFs implements fuse.RawFileSystem.
func (r *raw) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	st, err := r.fs.Statfs()
	if err != nil {
		return status(err)
	}
	*out = fuse.StatfsOut{
		Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail, Files: st.Files, Ffree: st.Ffree,
		Bsize: uint32(st.Bsize), NameLen: uint32(st.Namelen), Frsize: uint32(st.Frsize),
	}
	return fuse.OK
}

// GetXAttr implements fuse.RawFileSystem.
func (r *raw) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dst []byte) (uint32, fuse.Status) {
	if r.unsupported(name) {
		return 0, fuse.Status(unix.EOPNOTSUPP)
	}
	n, err := r.fs.Xattr(caller(cancel, h), h.NodeId, name, dst)
	if err == nil && upper.IsACL(name) && len(dst) > 0 {
		err = r.ids.acl(dst[:n], showACL)
	}
	return uint32(n), status(err)
}

// ListXAttr implements fuse.RawFileSystem.
func (r *raw) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dst []byte) (uint32, fuse.Status) {
	names, err := r.fs.Xattrs(caller(cancel, h), h.NodeId)
	if err != nil {
		return 0, status(err)
	}
	if len(dst) == 0 {
		return uint32(len(names)), fuse.OK
	}
	if len(names) > len(dst) {
		return 0, fuse.ERANGE
	}
	return uint32(copy(dst, names)), fuse.OK
}

// SetXAttr implements fuse.RawFileSystem.
func (r *raw) SetXAttr(cancel <-chan struct{}, in *fuse.SetXAttrIn, name string, value []byte) fuse.Status {
	if r.unsupported(name) {
		return fuse.Status(unix.EOPNOTSUPP)
	}
	if value == nil {
		value = []byte{} // nil would remove it
	}
	if upper.IsACL(name) {
		value = bytes.Clone(value) // the request's memory is the kernel's words
		if err := r.ids.acl(value, rawID); err != nil {
			return status(err)
		}
	}
	drop := in.SetXAttrFlags&fuse.SETXATTR_ACL_KILL_SGID != 0
	return status(r.fs.SetXattr(caller(cancel, &in.InHeader), in.NodeId, name, value, int(in.Flags), drop))
}

// RemoveXAttr implements fuse.RawFileSystem.
func (r *raw) RemoveXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	if r.unsupported(name) {
		return fuse.Status(unix.EOPNOTSUPP)
	}
	return status(r.fs.SetXattr(caller(cancel, h), h.NodeId, name, nil, 0, false))
}

// unsupported tells of POSIX ACLs where upper cannot hold them. The kernel is not told then to ask for them itself
// (FUSE_POSIX_ACL): it would take the refusal for one of access.
func (r *raw) unsupported(name string) bool { return upper.IsACL(name) && !r.acls }
