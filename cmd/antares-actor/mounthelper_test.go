package main_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// helper mounts as mount(8) does by way of the helper: call is how the program is called. It is unmounted with the test.
func helper(t *testing.T, lab *testfs.Lab, point, options string, argv0 ...string) testfs.Result {
	t.Helper()
	t.Cleanup(func() { _ = testfs.Unmount(point) })
	if len(argv0) == 0 {
		argv0 = []string{lab.Path("mount.fuse.antares-actor")}
		if err := os.Symlink(lab.Program(), argv0[0]); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	return lab.Run(testfs.Command{}, argv0[0], "antares-actor", point, "-o", options)
}

func TestMountHelperIsADropInForOverlays(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	top, base, point := lab.Mkdir("top"), lab.Mkdir("ba:se"), lab.Mkdir("mnt")
	check(t, firstOf(os.WriteFile(base+"/file", []byte("base"), 0o644), os.WriteFile(top+"/mine", nil, 0o644)))
	options := "rw,nosuid,fsname=a name,lowerdir=" + top + ":" + strings.ReplaceAll(base, ":", `\:`) + ",upperdir=" + lab.Mkdir("upper") +
		",workdir=" + lab.Mkdir("work") + ",log-file=" + lab.Path("log") + ",frobnicate=3,redirect_dir=on"
	for round := range 3 { // each right after the umount of the one before
		said := helper(t, lab, point, options)
		said.OK()
		if !strings.Contains(said.Stderr, "frobnicate=3") || strings.Contains(said.Stderr, "redirect_dir") {
			t.Errorf("said %q, want a warning of frobnicate only", said.Stderr)
		}
		table := read(t, "/proc/self/mountinfo")
		if !strings.Contains(table, point+` rw,nosuid,relatime - fuse.antares-actor a\040name `) {
			t.Errorf("the mount table has not what was asked for:\n%s", table)
		}
		wantContent(t, point+"/file", map[bool]string{true: "base", false: "changed"}[round == 0])
		check(t, firstOf(os.WriteFile(point+"/file", []byte("changed"), 0o644), testfs.Unmount(point)))
	}
}

func TestMountHelperMakesVolatileMounts(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	point, work := lab.Mkdir("mnt"), lab.Mkdir("work")
	helper(t, lab, point, "volatile,lowerdir="+lab.Mkdir("base")+",upperdir="+lab.Mkdir("upper")+",workdir="+work).OK()
	if _, err := os.Stat(work + "/work/incompat/volatile"); err != nil {
		t.Errorf("not marked as volatile: %v", err)
	}
	check(t, testfs.Unmount(point))
}

func TestMountHelperAsFuse3CallsIt(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	base, point := lab.Mkdir("base"), lab.Mkdir("mnt")
	check(t, os.WriteFile(base+"/file", nil, 0o644))
	helper(t, lab, point, "lowerdir="+base, lab.Program()).OK()
	if err := os.WriteFile(point+"/file", nil, 0o644); !os.IsPermission(err) && !strings.Contains(err.Error(), "read-only") {
		t.Errorf("without an upper directory nothing can be written: %v", err)
	}
	check(t, testfs.Unmount(point))
}

func TestMountHelperOptions(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	base, point := lab.Mkdir("base"), lab.Mkdir("mnt")
	check(t, unix.Mknod(base+"/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	check(t, os.WriteFile(point+"/hidden", nil, 0o644))
	helper(t, lab, point, "dev,suid,noexec,lowerdir="+base+",upperdir="+lab.Path("upper")).OK()
	check(t, os.WriteFile(point+"/null", []byte("gone"), 0o666))
	var st unix.Statfs_t
	check(t, unix.Statfs(point, &st))
	if st.Flags&(unix.ST_NODEV|unix.ST_NOSUID) != 0 || st.Flags&unix.ST_NOEXEC == 0 {
		t.Errorf("flags %x", st.Flags)
	}
	helper(t, lab, point, "remount,ro").OK()
	if err := os.WriteFile(point+"/new", nil, 0o644); err == nil {
		t.Error("written to a file system that was remounted read-only")
	}
	check(t, testfs.Unmount(point))
	wantContent(t, point+"/hidden", "")
}

func TestMountHelperRefuses(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	point := lab.Mkdir("mnt")
	for options, remedy := range map[string]string{
		"rw":                       "give -o lowerdir=",
		"lowerdir=/nonexistent":    "/nonexistent",
		"lowerdir=/usr::/data":     "data-only layers are not known",
		"lowerdir=/usr,origin=x:y": `"x:y": give git:PATH`,
	} {
		if said := helper(t, lab, point, options); said.Code == 0 || !strings.Contains(said.Stderr, remedy) {
			t.Errorf("%s: status %d, %q, want something of %s", options, said.Code, said.Stderr, remedy)
		}
	}
}
