package fusebridge

import (
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestDevicesSurviveTheWire(t *testing.T) {
	for _, dev := range []uint64{0, unix.Mkdev(1, 3), unix.Mkdev(8, 255), unix.Mkdev(8, 256), unix.Mkdev(259, 70000), unix.Mkdev(4095, 1<<20-1)} {
		if got := decodeDev(encodeDev(dev)); got != dev {
			t.Errorf("%d:%d became %d:%d", unix.Major(dev), unix.Minor(dev), unix.Major(got), unix.Minor(got))
		}
	}
	if got := encodeDev(unix.Mkdev(1, 3)); got != 0x103 {
		t.Errorf("1:3 is %x, want the kernel's 103", got)
	}
}

func TestEntriesLastForever(t *testing.T) {
	a := tree.Attr{
		Ino: 5, Mode: unix.S_IFREG | 0o644, Nlink: 2, UID: 3, GID: 4, Rdev: unix.Mkdev(1, 3), Blksize: 4096, Size: 6, Blocks: 8,
		Atime: unix.Timespec{Sec: 1, Nsec: 2}, Mtime: unix.Timespec{Sec: -3, Nsec: 4}, Ctime: unix.Timespec{Sec: 5, Nsec: 6},
	}
	var out fuse.EntryOut
	fillEntry(&a, &out)
	if out.NodeId != 5 || out.Generation == 0 || out.EntryValid < 1<<27 || out.AttrValid < 1<<27 {
		t.Errorf("%+v", out)
	}
	got := out.Attr
	if got.Ino != 5 || got.Size != 6 || got.Blocks != 8 || got.Mode != a.Mode || got.Nlink != 2 || got.Uid != 3 || got.Gid != 4 ||
		got.Rdev != 0x103 || got.Blksize != 4096 || got.Atimensec != 2 || int64(got.Mtime) != -3 || got.Ctimensec != 6 {
		t.Errorf("%+v", got)
	}
	absent(&out)
	if out.NodeId != 0 || out.EntryValid < 1<<27 {
		t.Errorf("an absence: %+v", out)
	}
}

func TestChange(t *testing.T) {
	in := &fuse.SetAttrIn{}
	in.Mode, in.Size, in.Atime, in.Atimensec = 0o640, 7, 8, 9
	in.Owner.Uid, in.Owner.Gid = 1, 2
	if c := change(in); c.Mode != nil || c.UID != nil || c.GID != nil || c.Size != nil || c.Atime != nil || c.Mtime != nil || !c.DropSetID {
		t.Errorf("nothing is valid, and it wants %+v", c)
	}
	in.Valid = fuse.FATTR_MODE | fuse.FATTR_UID | fuse.FATTR_GID | fuse.FATTR_SIZE | fuse.FATTR_ATIME | fuse.FATTR_MTIME | fuse.FATTR_MTIME_NOW | fuse.FATTR_KILL_SUIDGID
	c := change(in)
	in.Valid &^= fuse.FATTR_KILL_SUIDGID
	if change(in).DropSetID {
		t.Error("set-uid is dropped by who may keep it")
	}
	if c.Mode == nil || *c.Mode != 0o640 || *c.UID != 1 || *c.GID != 2 || *c.Size != 7 || !c.DropSetID {
		t.Errorf("%+v", c)
	}
	if c.Atime == nil || *c.Atime != (unix.Timespec{Sec: 8, Nsec: 9}) || c.Mtime == nil || c.Mtime.Nsec != unix.UTIME_NOW {
		t.Errorf("times %v, %v", c.Atime, c.Mtime)
	}
}

// A caller without a thread is one that we cannot see: its interrupts cannot be judged.
func TestCaller(t *testing.T) {
	cancel := make(chan struct{})
	if who := caller(cancel, &fuse.InHeader{Caller: fuse.Caller{Pid: 7}}); who.PID != 7 || who.Cancel == nil {
		t.Errorf("%+v", who)
	}
	if who := caller(cancel, &fuse.InHeader{}); who.Cancel != nil {
		t.Errorf("%+v", who)
	}
}

func TestOperations(t *testing.T) {
	for op, want := range map[uint32]string{1: "LOOKUP", 8: "MKNOD", 26: "INIT", 53: "COPY_FILE_RANGE_64", 7: "OP_7", 63: "OP_63", 4096: "OP_4096"} {
		if got := operationOf(op).name; got != want {
			t.Errorf("%d is %s, want %s", op, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	var c counts
	for range 3 {
		c.count(1, 0)
	}
	c.count(1, int32(unix.ENOENT))
	c.count(26, 0)
	c.count(4096, int32(unix.EIO)) // CUSE's, which never comes
	c.count(1, 5000)
	requests, refused := c.snapshot()
	if requests["LOOKUP"] != 5 || requests["INIT"] != 1 || requests["OP_63"] != 1 || len(requests) != 3 {
		t.Errorf("%v", requests)
	}
	if refused["LOOKUP ENOENT"] != 1 || refused["OP_63 EIO"] != 1 || len(refused) != 3 {
		t.Errorf("%v", refused)
	}
}
