package upper_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

func TestFileReadsAndWrites(t *testing.T) {
	f := newStore(t)
	file := f.write("x", "0123456789")
	buf := make([]byte, 16)
	for off, want := range map[int64]string{0: "0123456789", 7: "789", 10: "", 1000: ""} {
		n, err := file.ReadAt(buf, off)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("at %d: %q, %v, want %q", off, buf[:n], err, want)
		}
	}
	if _, err := file.ReadAt(buf, -1); !errors.Is(err, unix.EINVAL) {
		t.Errorf("at -1: %v", err)
	}
	check(t, file.Truncate(4))
	check(t, file.Allocate(0, 0, 8192))
	st, err := file.Stat()
	check(t, err)
	if st.Size != 8192 || f.read("x")[:5] != "0123\x00" {
		t.Errorf("size %d", st.Size)
	}
	check(t, file.Sync(true))
	check(t, file.Sync(false))
	if _, err := file.Statfs(); err != nil {
		t.Error(err)
	}
}

func TestFileSeeksHoles(t *testing.T) {
	f := newStore(t)
	file := f.write("x", "data")
	check(t, file.Truncate(1<<20))
	if at, err := file.Seek(0, unix.SEEK_HOLE); err != nil || at < 4 || at >= 1<<20 {
		t.Errorf("hole at %d, %v", at, err)
	}
	if _, err := file.Seek(1<<20, unix.SEEK_DATA); !errors.Is(err, unix.ENXIO) {
		t.Errorf("data behind the end: %v", err)
	}
}

func TestFileCopiesRanges(t *testing.T) {
	f := newStore(t)
	src, dst := f.write("src", "0123456789"), f.write("dst", "..........")
	if n, err := dst.CopyRange(src, 2, 4, 5); err != nil || n != 5 || f.read("dst") != "....23456." {
		t.Errorf("%d, %v: %q", n, err, f.read("dst"))
	}
	if n, err := dst.CopyRange(src, 10, 0, 5); err != nil || n != 0 {
		t.Errorf("behind the end: %d, %v", n, err)
	}
}

func TestChangesOfEachType(t *testing.T) {
	for name, b := range births() {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			file := f.create("x", b)
			check(t, file.Chown(1000, -1))
			check(t, file.Chown(-1, 2000))
			check(t, file.Utimes(unix.Timespec{Sec: 1, Nsec: 2}, unix.Timespec{Nsec: unix.UTIME_OMIT}))
			check(t, file.Utimes(unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Sec: 3, Nsec: 4}))
			st := f.stat("x")
			if st.Uid != 1000 || st.Gid != 2000 || st.Atim != (unix.Timespec{Sec: 1, Nsec: 2}) || st.Mtim != (unix.Timespec{Sec: 3, Nsec: 4}) {
				t.Errorf("%+v", st)
			}
			if b.Target != "" {
				return // Linux has no chmod of a symbolic link
			}
			check(t, file.Chmod(unix.S_IFREG|0o4711))
			if got := f.stat("x").Mode; got&0o7777 != 0o4711 || got&unix.S_IFMT != b.Mode&unix.S_IFMT {
				t.Errorf("mode %o", got)
			}
		})
	}
}

func TestSpecialFilesRefuseContent(t *testing.T) {
	f := newStore(t)
	fifo := f.create("fifo", births()["a fifo"])
	if err := fifo.Truncate(0); !errors.Is(err, unix.EINVAL) {
		t.Errorf("truncate: %v", err)
	}
	check(t, fifo.Sync(false))
	if _, err := fifo.ReadAt(make([]byte, 1), 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("read: %v", err)
	}
	if _, err := f.write("x", "").Readlink(); !errors.Is(err, unix.EINVAL) {
		t.Errorf("readlink of a file: %v", err)
	}
}

func TestDropPrivileges(t *testing.T) {
	f := newStore(t)
	for _, tt := range []struct {
		typ, mode uint32
		member    bool
		want      uint32
	}{
		{unix.S_IFREG, 0o6755, true, 0o755},
		{unix.S_IFREG, 0o4755, true, 0o755},
		{unix.S_IFREG, 0o2755, true, 0o755},
		{unix.S_IFREG, 0o2745, true, 0o2745},
		{unix.S_IFREG, 0o6745, true, 0o2745},
		{unix.S_IFREG, 0o2745, false, 0o745},
		{unix.S_IFREG, 0o6745, false, 0o745},
		{unix.S_IFREG, 0o1777, false, 0o1777},
		{unix.S_IFREG, 0o644, false, 0o644},
		{unix.S_IFIFO, 0o6755, true, 0o755},
		{unix.S_IFDIR, 0o6755, false, 0o6755},
	} {
		file := f.create(fmt.Sprintf("%o %v", tt.typ|tt.mode, tt.member), upper.Birth{Mode: tt.typ | tt.mode, GID: 7})
		dropped, err := file.DropPrivileges(func(gid uint32) bool {
			if gid != 7 {
				t.Errorf("asked for group %d", gid)
			}
			return tt.member
		})
		check(t, err)
		if dropped != (tt.want != tt.mode) {
			t.Errorf("%o: dropped is %v", tt.mode, dropped)
		}
		st, err := file.Stat()
		check(t, err)
		if st.Mode&0o7777 != tt.want {
			t.Errorf("%o became %o, want %o", tt.mode, st.Mode&0o7777, tt.want)
		}
	}
}

func TestFileIsClosedOnce(t *testing.T) {
	f := newStore(t)
	file, _, err := f.Create(f.Root(), "x", upper.Birth{Mode: unix.S_IFREG | 0o600})
	check(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if !file.Acquire() {
					t.Error("closed while it is held")
				}
				file.Release()
			}
		})
	}
	wg.Wait()
	file.Release()
	if file.Acquire() || f.OpenFiles() != 4 {
		t.Error("not closed by the last Release")
	}
}

func TestXattrs(t *testing.T) {
	for name, b := range map[string]upper.Birth{
		"file": {Mode: unix.S_IFREG | 0o644}, "dir": {Mode: unix.S_IFDIR | 0o755}, "fifo": {Mode: unix.S_IFIFO | 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			st := f.stage(b) // so that it has a mark of our own
			check(t, f.Commit(st, f.Root(), "x"))
			defer st.File.Release()
			attr := "trusted.test" // user attributes exist for files and directories only
			if list, err := f.Xattrs(st.File); err != nil || len(list) > 0 {
				t.Errorf("%q, %v: the mark shows", list, err)
			}
			check(t, f.SetXattr(st.File, attr, []byte("value"), unix.XATTR_CREATE))
			if err := f.SetXattr(st.File, attr, nil, unix.XATTR_CREATE); !errors.Is(err, unix.EEXIST) {
				t.Errorf("create again: %v", err)
			}
			buf := make([]byte, 3)
			if n, err := f.Xattr(st.File, attr, nil); err != nil || n != 5 {
				t.Errorf("its size is %d, %v", n, err)
			}
			if _, err := f.Xattr(st.File, attr, buf); !errors.Is(err, unix.ERANGE) {
				t.Errorf("into 3 bytes: %v", err)
			}
			if list, err := f.Xattrs(st.File); err != nil || string(list) != attr+"\x00" {
				t.Errorf("%q, %v", list, err)
			}
			check(t, f.RemoveXattr(st.File, attr))
			if _, err := f.Xattr(st.File, attr, nil); !errors.Is(err, unix.ENODATA) {
				t.Errorf("after its removal: %v", err)
			}
			if err := f.RemoveXattr(st.File, attr); !errors.Is(err, unix.ENODATA) {
				t.Errorf("remove again: %v", err)
			}
		})
	}
}

func TestTheOverlaysOwnMarksAreNobodysBusiness(t *testing.T) {
	f := newStore(t)
	dir := f.dir("dir")
	check(t, f.MarkOpaque(dir))
	const mine = "trusted.overlay.opaque"
	if _, err := f.Xattr(dir, mine, make([]byte, 8)); !errors.Is(err, unix.ENODATA) {
		t.Errorf("read: %v", err)
	}
	if err := f.RemoveXattr(dir, mine); !errors.Is(err, unix.ENODATA) {
		t.Errorf("remove: %v", err)
	}
	check(t, f.SetXattr(dir, "trusted.overlayish", []byte("ok"), 0))
	if f.xattr("dir", mine) != "y" {
		t.Error("the mark is gone")
	}
}

// A mount may hold the layers of another overlay, whose marks are users' attributes here.
func TestAnotherOverlaysMarksAreKeptBesideOurs(t *testing.T) {
	f := newStore(t)
	dir := f.dir("dir")
	check(t, f.MarkOpaque(dir))
	for _, name := range []string{"trusted.overlay.opaque", "trusted.overlay.overlay.opaque"} {
		check(t, f.SetXattr(dir, name, []byte("theirs"), unix.XATTR_CREATE))
		buf := make([]byte, 8)
		if n, err := f.Xattr(dir, name, buf); err != nil || string(buf[:n]) != "theirs" {
			t.Errorf("%s: %q, %v", name, buf[:n], err)
		}
	}
	if f.xattr("dir", "trusted.overlay.opaque") != "y" || f.xattr("dir", "trusted.overlay.overlay.opaque") != "theirs" {
		t.Error("they are not stored as kernel overlayfs does it")
	}
	list, err := f.Xattrs(dir)
	check(t, err)
	if names := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00"); len(names) != 2 || !slices.Contains(names, "trusted.overlay.opaque") {
		t.Errorf("listed: %q", names)
	}
	check(t, f.RemoveXattr(dir, "trusted.overlay.opaque"))
	if f.xattr("dir", "trusted.overlay.opaque") != "y" {
		t.Error("ours went with theirs")
	}
}

func TestXattrsOfAnyLength(t *testing.T) {
	f := newStore(t)
	file := f.write("x", "")
	for i := range 40 {
		check(t, f.SetXattr(file, "user."+strings.Repeat("n", 20)+string(rune('A'+i)), []byte("v"), 0))
	}
	list, err := f.Xattrs(file)
	check(t, err)
	got := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
	slices.Sort(got)
	if len(slices.Compact(got)) != 40 {
		t.Errorf("%d names", len(got))
	}
}
