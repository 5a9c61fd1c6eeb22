package main_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// brokenDisk are disks for an upper that refuse to take more: refuse has them do so, and mend takes it back.
var brokenDisks = map[string]struct {
	fs, size string
	want     error
	refuse   func(lab *testfs.Lab, d *testfs.Disk)
	mend     func(lab *testfs.Lab, d *testfs.Disk)
}{
	"full": {
		fs: "ext4", size: "16M", want: unix.ENOSPC,
		refuse: func(lab *testfs.Lab, d *testfs.Disk) {
			lab.Run(testfs.Command{}, "dd", "if=/dev/zero", "of="+filepath.Join(d.Dir, "fill"), "bs=64k")
			lab.Run(testfs.Command{}, "dd", "if=/dev/zero", "of="+filepath.Join(d.Dir, "fill2"), "bs=1k", "oflag=sync")
		},
		mend: func(lab *testfs.Lab, d *testfs.Disk) { lab.Shell(d.Dir, "rm fill fill2; sync -f .") },
	},
	"over quota": {
		fs: "btrfs", size: "320M", want: unix.EDQUOT,
		refuse: func(lab *testfs.Lab, d *testfs.Disk) {
			lab.Shell(d.Dir, "btrfs quota enable . && btrfs quota rescan -w . && sync -f . && btrfs qgroup limit 1M 0/5 .")
			lab.Run(testfs.Command{}, "dd", "if=/dev/urandom", "of="+filepath.Join(d.Dir, "fill"), "bs=64k", "count=32")
		},
		mend: func(lab *testfs.Lab, d *testfs.Disk) { lab.Shell(d.Dir, "btrfs qgroup limit none 0/5 .") },
	},
	"read-only": {
		fs: "ext4", size: "16M", want: unix.EROFS,
		refuse: func(lab *testfs.Lab, d *testfs.Disk) { // what ext4 does when it finds itself damaged
			lab.Shell("", "mount -o remount,errors=remount-ro "+d.Dir+`
				echo test > /sys/fs/ext4/$(basename $(findmnt -no SOURCE `+d.Dir+`))/trigger_fs_error`)
		},
	},
	"failing": {
		fs: "ext4", size: "16M", want: unix.EIO,
		refuse: func(_ *testfs.Lab, d *testfs.Disk) { d.Fail() },
	},
}

// TestAnUpperThatTakesNoMore: the error reaches the caller at once, nothing is lost that was there, and with room again
// everything works.
func TestAnUpperThatTakesNoMore(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	big := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	repo.Write(t, "big", string(big), 0o644)
	repo.Commit(t, "big")
	for name, kind := range brokenDisks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := suite.New(t)
			disk := testfs.NewDisk(t, kind.fs, kind.size)
			upper := filepath.Join(disk.Dir, "upper")
			m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: upper, EIO: true})
			lab.Shell(m.Point, "echo kept > kept; echo 1 > grown; mkdir made; echo x > made/x; sync kept grown made/x; sync -f "+disk.Dir)
			look := testfs.Look{Before: old}
			before := testfs.Take(t, m.Point, look)
			kind.refuse(lab, disk)
			for what, do := range refusedChanges(m) {
				if err := do(); !errors.Is(err, kind.want) {
					t.Errorf("%s: %v, want %v", what, err, kind.want)
				}
			}
			wantContent(t, m.Path("big"), string(big))
			if kind.mend == nil {
				m.Unmount()
				disk.Mend()
				m = lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: upper})
			} else {
				kind.mend(lab, disk)
			}
			testfs.Same(t, "when it is mended", testfs.Take(t, m.Point, look), "before", before)
			for what, do := range refusedChanges(m) {
				if err := do(); err != nil {
					t.Errorf("%s when it is mended: %v", what, err)
				}
			}
			want := testfs.Take(t, m.Point, look)
			m.Unmount()
			lab.Actor("fsck", upper).OK()
			m = lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: upper})
			testfs.Same(t, "remount", testfs.Take(t, m.Point, look), "mount", want)
			m.Unmount()
		})
	}
}

// refusedChanges are changes that need more room than the disks have.
func refusedChanges(m *testfs.Mount) map[string]func() error {
	return map[string]func() error{
		"write to a file of the origin": func() error {
			f, err := os.OpenFile(m.Path("big"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("X"), 5)
			return errors.Join(err, f.Close())
		},
		"a new file": func() error {
			err := os.WriteFile(m.Path("made/new"), make([]byte, 4<<20), 0o644)
			if rerr := os.Remove(m.Path("made/new")); !errors.Is(rerr, unix.ENOENT) {
				err = errors.Join(err, rerr)
			}
			return err
		},
		"a larger one": func() error {
			f, err := os.OpenFile(m.Path("grown"), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 4<<20)
			return errors.Join(err, f.Close())
		},
	}
}

// TestAMappingOnAFullDisk: msync is the first who can say it.
func TestAMappingOnAFullDisk(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	kind := brokenDisks["full"]
	disk := testfs.NewDisk(t, kind.fs, kind.size)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: filepath.Join(disk.Dir, "upper")})
	f, err := os.Create(m.Path("mapped"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	kind.refuse(lab, disk)
	p, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(p); i += 4096 {
		p[i] = 1
	}
	if err := unix.Msync(p, unix.MS_SYNC); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("msync: %v, want ENOSPC", err)
	}
	kind.mend(lab, disk)
	for i := 0; i < len(p); i += 4096 {
		p[i] = 2
	}
	if err := unix.Msync(p, unix.MS_SYNC); err != nil {
		t.Errorf("msync with room: %v", err)
	}
	if err := unix.Munmap(p); err != nil {
		t.Error(err)
	}
	if b := read(t, m.InUpper("mapped")); b[0] != 2 || b[255<<12] != 2 {
		t.Error("other content")
	}
}

// TestSizesAfterAnAllocationThatFailed: ext4 leaves a file as large as there was room, and so must the mount show it.
func TestSizesAfterAnAllocationThatFailed(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	kind := brokenDisks["full"]
	disk := testfs.NewDisk(t, kind.fs, kind.size)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: filepath.Join(disk.Dir, "upper")})
	lab.Shell(m.Point, "echo 1 > file; cat file")
	f, err := os.OpenFile(m.Path("file"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := os.Stat(m.Path("file")); err != nil || info.Size() != 2 { // which the kernel keeps
		t.Fatal(info, err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 64<<20); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("fallocate: %v, want ENOSPC", err)
	}
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if size(m.InUpper("file")) == 2 {
		t.Fatal("ext4 has not grown it: the test tests nothing")
	}
	for end := time.Now().Add(10 * time.Second); size(m.Path("file")) != size(m.InUpper("file")); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("size %d, in upper %d", size(m.Path("file")), size(m.InUpper("file")))
		}
	}
}
