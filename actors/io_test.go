package actors

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// births are files to be made, by what they are.
var births = map[string]upper.Birth{
	"file":   {Mode: unix.S_IFREG | 0o640, UID: 3, GID: 4},
	"dir":    {Mode: unix.S_IFDIR | 0o750, UID: 3, GID: 4},
	"link":   {Mode: unix.S_IFLNK | 0o777, UID: 3, GID: 4, Target: "some/where"},
	"fifo":   {Mode: unix.S_IFIFO | 0o600},
	"socket": {Mode: unix.S_IFSOCK | 0o600},
	"device": {Mode: unix.S_IFCHR | 0o600, Rdev: unix.Mkdev(1, 3)},
}

func TestReadOfBothLayers(t *testing.T) {
	r := newRig(t)
	check(t, r.write("mine", "0123456789"))
	for _, path := range []string{"mine", "a/deep/big.bin"} {
		want, err := r.read(path)
		check(t, err)
		ino, p := r.ino(path), make([]byte, 6)
		for _, off := range []int64{0, 3, int64(len(want)) - 2, int64(len(want)), int64(len(want)) + 100} {
			n, err := r.fs.Read(nobodyWaits, ino, p, off)
			rest := want[min(off, int64(len(want))):]
			if err != nil || string(p[:n]) != rest[:min(len(rest), 6)] {
				t.Errorf("%s at %d: %q, %v", path, off, p[:n], err)
			}
		}
	}
}

func TestTheFirstWriteCopiesUp(t *testing.T) {
	for path, want := range map[string]string{
		"top.txt": "tOp\n", "a/deep/x/y.txt": "yO", "empty": "\x00O",
		"a/deep/big.bin": "0O" + strings.Repeat("0123456789abcdef", 40_000)[2:],
	} {
		t.Run(path, func(t *testing.T) {
			r := newRig(t, onDisk)
			before, err := r.lookup(path)
			check(t, err)
			check(t, r.writeAt(path, "O", 1))
			r.wantText(path, want)
			after, err := r.lookup(path)
			check(t, err)
			if after.Ino != before.Ino || after.Mode != before.Mode || after.UID != 7 || after.GID != 8 || after.Nlink != 1 {
				t.Errorf("%+v became %+v", before, after)
			}
			for dir := range strings.SplitSeq("a,a/deep,a/deep/x", ",") {
				if strings.HasPrefix(path, dir+"/") {
					if a, err := r.lookup(dir); err != nil || a.Ino != tree.LowerIno(dir) || a.Mtime.Sec != commitTime.Unix() {
						t.Errorf("directory %s: %+v, %v: its time must not change", dir, a, err)
					}
				}
			}
			seen := r.snapshot()
			r.remount()
			if now := r.snapshot(); now != seen {
				t.Errorf("the next mount shows\n%s instead of\n%s", now, seen)
			}
		})
	}
}

func TestWritesDropSetID(t *testing.T) {
	r := newRig(t)
	check(t, r.make("f", upper.Birth{Mode: unix.S_IFREG | 0o6755}))
	ino := r.ino("f")
	for _, tt := range []struct {
		drop bool
		want uint32
	}{{false, 0o6755}, {true, 0o755}} {
		_, err := r.fs.Write(nobodyWaits, ino, []byte("x"), 0, tt.drop)
		check(t, err)
		if a, err := r.lookup("f"); err != nil || a.Mode&0o7777 != tt.want {
			t.Errorf("drop %v: mode %o, %v", tt.drop, a.Mode, err)
		}
	}
}

// The kernel does not say who may not leave set-uid on where nothing is written by WRITE.
func TestOtherChangesDropSetID(t *testing.T) {
	r := newRig(t)
	check(t, r.make("src", upper.Birth{Mode: unix.S_IFREG | 0o644}))
	check(t, r.make("f", upper.Birth{Mode: unix.S_IFREG | 0o6755}))
	src, ino := r.ino("src"), r.ino("f")
	for name, do := range map[string]func(who Caller) error{
		"allocate": func(who Caller) error { return r.fs.Allocate(who, ino, 0, 0, 10) },
		"copy":     func(who Caller) error { return second(r.fs.CopyRange(who, src, 0, ino, 0, 1)) },
	} {
		for _, tt := range []struct {
			user testfs.User
			want uint32
		}{{testfs.User{}, 0o6755}, {testfs.User{UID: 5, GID: 5}, 0o755}} {
			check(t, r.chmod("f", 0o6755))
			asking(t, tt.user, func(who Caller) { check(t, do(who)) })
			if a, err := r.lookup("f"); err != nil || a.Mode&0o7777 != tt.want {
				t.Errorf("%s by %+v: mode %o, %v", name, tt.user, a.Mode, err)
			}
		}
	}
}

func second(_ int, err error) error { return err }

func TestAllocateSeekSync(t *testing.T) {
	r := newRig(t)
	ino := r.ino("top.txt")
	at, err := r.fs.Seek(nobodyWaits, ino, 0, unix.SEEK_HOLE)
	if err != nil || at != 4 {
		t.Errorf("the hole of a lower file is at %d, %v", at, err)
	}
	check(t, r.fs.Sync(nobodyWaits, ino, false)) // nothing to do in the lower layer
	check(t, r.fs.Allocate(nobodyWaits, ino, 0, 0, 10_000))
	a, err := r.lookup("top.txt")
	if err != nil || a.Size != 10_000 {
		t.Errorf("size %d, %v", a.Size, err)
	}
	if at, err := r.fs.Seek(nobodyWaits, ino, 2, unix.SEEK_DATA); err != nil || at != 2 {
		t.Errorf("data at %d, %v", at, err)
	}
	for _, dataOnly := range []bool{false, true} {
		check(t, r.fs.Sync(nobodyWaits, ino, dataOnly))
		check(t, r.fs.Sync(nobodyWaits, tree.RootIno, dataOnly))
	}
	if _, err := r.fs.Seek(nobodyWaits, r.ino("a/deep/big.bin"), 5, unix.SEEK_DATA); err != nil {
		t.Errorf("seek in what is not loaded: %v", err)
	}
}

func TestCopyRange(t *testing.T) {
	r := newRig(t)
	check(t, r.write("src", "0123456789"))
	n, err := r.fs.CopyRange(nobodyWaits, r.ino("src"), 2, r.ino("top.txt"), 1, 3)
	if err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	r.wantText("top.txt", "t234")
	_, err = r.fs.CopyRange(nobodyWaits, r.ino("a/one.txt"), 0, r.ino("src"), 0, 3)
	wantErr(t, "from the lower layer", err, unix.EXDEV)
}

func TestStatfs(t *testing.T) {
	if st, err := newRig(t).fs.Statfs(); err != nil || st.Blocks == 0 || st.Namelen != 255 {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestXattrs(t *testing.T) {
	r := newRig(t, onDisk) // tmpfs has user attributes from Linux 6.6 on
	ino := r.ino("a/one.txt")
	_, err := r.fs.Xattr(nobodyWaits, ino, "user.x", nil)
	wantErr(t, "of a lower file", err, unix.ENODATA)
	wantErr(t, "remove from a lower file", r.fs.SetXattr(nobodyWaits, ino, "user.x", nil, 0, false), unix.ENODATA)
	if r.node("a/one.txt").State().Where != tree.Lower {
		t.Error("reading copied up")
	}
	check(t, r.fs.SetXattr(nobodyWaits, ino, "user.x", []byte("value"), 0, false))
	buf := make([]byte, 10)
	n, err := r.fs.Xattr(nobodyWaits, ino, "user.x", buf)
	if err != nil || string(buf[:n]) != "value" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if names, err := r.fs.Xattrs(nobodyWaits, ino); err != nil || string(names) != "user.x\x00" {
		t.Errorf("%q, %v", names, err)
	}
	wantErr(t, "create again", r.fs.SetXattr(nobodyWaits, ino, "user.x", []byte("v"), unix.XATTR_CREATE, false), unix.EEXIST)
	check(t, r.fs.SetXattr(nobodyWaits, ino, "user.empty", []byte{}, 0, false))
	if n, err := r.fs.Xattr(nobodyWaits, ino, "user.empty", nil); err != nil || n != 0 {
		t.Errorf("an empty value: %d, %v", n, err)
	}
	check(t, r.fs.SetXattr(nobodyWaits, ino, "user.x", nil, 0, false))
	_, err = r.fs.Xattr(nobodyWaits, ino, "user.x", nil)
	wantErr(t, "after its removal", err, unix.ENODATA)
	check(t, r.fs.SetXattr(nobodyWaits, ino, "trusted.overlay.opaque", []byte("y"), 0, false)) // kept, by another name
	if n, err := unix.Getxattr(r.onDisk("a/one.txt"), "trusted.overlay.opaque", buf); err == nil {
		t.Errorf("a user set the overlay's own to %q", buf[:n])
	}
}
