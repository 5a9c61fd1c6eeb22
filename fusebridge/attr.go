package fusebridge

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// forever is how long the kernel may keep what it was told. Not the largest number: the kernel adds it to the clock.
const forever = 10 * 365 * 24 * time.Hour

// generation tells reuses of a node id apart; ours are not reused while the kernel knows them.
const generation = 1

func fillAttr(a *tree.Attr, out *fuse.Attr) {
	*out = fuse.Attr{
		Ino: a.Ino, Size: uint64(a.Size), Blocks: uint64(a.Blocks), Mode: a.Mode, Nlink: a.Nlink,
		Owner: fuse.Owner{Uid: a.UID, Gid: a.GID}, Rdev: encodeDev(a.Rdev), Blksize: a.Blksize,
		Atime: uint64(a.Atime.Sec), Atimensec: uint32(a.Atime.Nsec),
		Mtime: uint64(a.Mtime.Sec), Mtimensec: uint32(a.Mtime.Nsec),
		Ctime: uint64(a.Ctime.Sec), Ctimensec: uint32(a.Ctime.Nsec),
	}
}

func fillEntry(a *tree.Attr, out *fuse.EntryOut) {
	out.NodeId, out.Generation = a.Ino, generation
	fillAttr(a, &out.Attr)
	out.SetEntryTimeout(forever)
	out.SetAttrTimeout(forever)
}

// absent answers a lookup with "no such name", which the kernel keeps: an entry without a node.
func absent(out *fuse.EntryOut) {
	*out = fuse.EntryOut{}
	out.SetEntryTimeout(forever)
}

// encodeDev and decodeDev convert between stat's dev_t and the kernel's 32 bits on the wire (new_encode_dev).
func encodeDev(dev uint64) uint32 {
	major, minor := unix.Major(dev), unix.Minor(dev)
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}

func decodeDev(dev uint32) uint64 {
	return unix.Mkdev(dev>>8&0xfff, dev&0xff|dev>>12&0xfff00)
}

// resentBit is FUSE_UNIQUE_RESEND, in the number of a request that the kernel sends again.
const resentBit = 1 << 63

// caller says who waits. A request without a thread is the kernel's own, or comes from a process id name space that we
// cannot see into: then an interrupt does not tell whether the signal matters, and is better ignored than passed on to a
// program that does not expect EINTR.
func caller(cancel <-chan struct{}, h *fuse.InHeader) actors.Caller {
	who := actors.Caller{Request: h.Unique &^ resentBit, Resent: h.Unique&resentBit != 0}
	if h.Pid != 0 {
		who.PID, who.Cancel = h.Pid, cancel
	}
	return who
}

// changes are the bits of a SETATTR that say what it sets.
const changes = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_SIZE | fuse.FATTR_ATIME | fuse.FATTR_ATIME_NOW |
	fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW

// change reads what a SETATTR wants. One that sets nothing is what is left of the kernel's file_remove_privs when set-uid and
// set-gid are ours to clear (HANDLE_KILLPRIV_V2): it comes before a write, fallocate or copy_file_range by a caller who may
// not keep them, and the answer shows the kernel the new mode in time. The other source is chown(-1, -1), which on Linux's
// own file systems clears them too.
func change(in *fuse.SetAttrIn) (c actors.AttrChange) {
	if v, ok := in.GetMode(); ok {
		c.Mode = &v
	}
	if v, ok := in.GetUID(); ok {
		c.UID = &v
	}
	if v, ok := in.GetGID(); ok {
		c.GID = &v
	}
	if v, ok := in.GetSize(); ok {
		size := int64(v)
		c.Size = &size
	}
	c.DropSetID = in.Valid&fuse.FATTR_KILL_SUIDGID != 0 || in.Valid&changes == 0
	c.Atime = timeOf(in.Valid, fuse.FATTR_ATIME, fuse.FATTR_ATIME_NOW, in.Atime, in.Atimensec)
	c.Mtime = timeOf(in.Valid, fuse.FATTR_MTIME, fuse.FATTR_MTIME_NOW, in.Mtime, in.Mtimensec)
	return c
}

func timeOf(valid, given, now uint32, sec uint64, nsec uint32) *unix.Timespec {
	switch {
	case valid&now != 0:
		return &unix.Timespec{Nsec: unix.UTIME_NOW}
	case valid&given != 0:
		return &unix.Timespec{Sec: int64(sec), Nsec: int64(nsec)}
	}
	return nil
}
