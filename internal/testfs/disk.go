package testfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Disk is a file system of a test's own, on a sparse file. It can fail and lose power.
type Disk struct {
	t      testing.TB
	Dir    string // where it is mounted
	fstype string
	image  string
}

// NewDisk makes a file system of a type that has a mkfs.TYPE, of a size that truncate(1) understands, for the time of the
// test.
func NewDisk(t testing.TB, fstype, size string) *Disk {
	t.Helper()
	return NewDiskIn(t, t.TempDir(), fstype, size)
}

// NewDiskIn is NewDisk with the sparse file in a directory: if that fills up, writes to the disk fail.
func NewDiskIn(t testing.TB, dir, fstype, size string) *Disk {
	t.Helper()
	d := &Disk{t: t, fstype: fstype, Dir: t.TempDir(), image: filepath.Join(dir, "disk")}
	for _, args := range [][]string{{"truncate", "-s", size, d.image}, {"mkfs." + fstype, "-q", d.image}} {
		d.run(args...)
	}
	d.mount("loop")
	t.Cleanup(d.unmount)
	return d
}

func (d *Disk) run(args ...string) {
	d.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

func (d *Disk) mount(options string) {
	d.t.Helper()
	d.run("mount", "-o", options, d.image, d.Dir)
}

func (d *Disk) unmount() {
	d.t.Helper()
	if err := Unmount(d.Dir); err != nil {
		d.t.Fatalf("umount %s: %v", d.Dir, err)
	}
}

// Fail has every access fail from now on, as when a disk goes away: most with EIO.
func (d *Disk) Fail() {
	d.t.Helper()
	const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN
	f, err := os.Open(d.Dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	how := uint32(noLogFlush)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		d.t.Fatalf("shut down the file system: %v", errno)
	}
}

// Mend mounts it anew after Fail: what was not on disk by then is lost. Nobody may have a file of it open.
func (d *Disk) Mend() {
	d.t.Helper()
	d.unmount()
	// A copy: the file system that failed may live on for a while in another process's mount name space, and would be what is
	// mounted then.
	again, options := d.image+"+", "loop"
	d.run("cp", "--sparse=always", d.image, again)
	d.image = again
	if d.fstype == "xfs" {
		options += ",nouuid"
	}
	d.mount(options)
}

// Free returns the free bytes when everything is on disk.
func (d *Disk) Free() uint64 {
	d.t.Helper()
	dir, err := os.Open(d.Dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	var st unix.Statfs_t
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		d.t.Fatal(err)
	}
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		d.t.Fatal(err)
	}
	return st.Bfree * uint64(st.Bsize)
}
