package main_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// owned is a lower directory with a file of user 3, group 4.
func owned(t *testing.T, lab *testfs.Lab) string {
	t.Helper()
	dir := lab.Mkdir("lower")
	check(t, firstOf(os.WriteFile(dir+"/file", []byte("text"), 0o664), os.Chown(dir+"/file", 3, 4)))
	return dir
}

func wantOwner(t *testing.T, path string, uid, gid uint32) {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(path, &st))
	if st.Uid != uid || st.Gid != gid {
		t.Errorf("%s belongs to %d:%d, want %d:%d", path, st.Uid, st.Gid, uid, gid)
	}
}

// Ids are translated for users of the mount; layers, and copies in upper, have their own.
func TestOwnersShowAsMapped(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	dir, upper := owned(t, lab), lab.Path("upper")
	m := lab.Mount(testfs.Spec{Upper: upper, Flags: []string{
		"--lower", "dir:" + dir, "--map-uid", "0:100000:1000", "--map-gid", "0:200000:1000",
	}})
	check(t, os.Chmod(m.Point, 0o777))
	wantOwner(t, m.Path("file"), 100_003, 200_004)
	as := func(id uint32, script string) testfs.Result {
		return lab.Run(testfs.Command{User: id, Dir: m.Point}, "sh", "-c", script)
	}
	lab.Shell("", fmt.Sprintf("setpriv --reuid 100003 --regid 200004 --clear-groups sh -c 'cd %s && echo more >>file && mkdir dir && ln -s x link && touch dir/new'", m.Point))
	for _, name := range []string{"file", "dir", "link", "dir/new"} {
		wantOwner(t, m.Path(name), 100_003, 200_004)
		wantOwner(t, m.InUpper(name), 3, 4)
	}
	check(t, os.Chown(m.Path("dir/new"), 100_009, 200_009))
	wantOwner(t, m.InUpper("dir/new"), 9, 9)
	if err := os.Chown(m.Path("dir/new"), 5, -1); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("to a user that no layer has: %v", err)
	}
	if said := as(7, "touch mine"); said.Code == 0 {
		t.Error("a user that no layer has made a file")
	}
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xa8, 0x86, 1, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	check(t, unix.Setxattr(m.Path("file"), "system.posix_acl_access", acl, 0)) // user 100008 may read
	for path, want := range map[string]byte{m.Path("file"): 0xa8, m.InUpper("file"): 8} {
		buf := make([]byte, 100)
		if n, err := unix.Getxattr(path, "system.posix_acl_access", buf); err != nil || n < 18 || buf[16] != want {
			t.Errorf("%s: %v, %v, want user %d", path, buf[:max(n, 0)], err, want)
		}
	}
	lab.Shell("", "setpriv --reuid 100008 --regid 200008 --clear-groups cat "+m.Path("file"))
	check(t, os.WriteFile(upper+"/foreign", nil, 0o644)) // root's, as the layer has it
	check(t, os.Chown(upper+"/foreign", 5000, 0))
	m.Unmount()
	again := lab.Mount(testfs.Spec{Upper: upper, Flags: []string{"--lower", "dir:" + dir, "--map-uid", "0:100000:1000"}})
	wantOwner(t, again.Path("foreign"), 65534, 0)
}

func TestBadMapsAreRefused(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	for _, words := range [][]string{{"1:2"}, {"a:b:c"}, {"0:0:0"}, {"1:1:4294967295"}, {"0:10:5", "4:100:5"}, {"0:10:5", "100:14:5"}} {
		args := []string{"mount", "--lower", "dir:" + lab.Dir}
		for _, word := range words {
			args = append(args, "--map-uid", word)
		}
		if said := lab.Actor(append(args, lab.Mkdir("mnt"))...); said.Code != 2 || said.Stderr == "" {
			t.Errorf("%v: status %d, %q", words, said.Code, said.Stderr)
		}
	}
}

// An idmapped mount of a mount, as container runtimes make it, is the kernel's work; ours is to allow it.
func TestIdmappedMounts(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	m := layered(lab, "", "", owned(t, lab))
	check(t, os.Chmod(m.Point, 0o777))
	holder := exec.Command("sleep", "600") // of a user name space in which 0..9 are 1000..1009
	holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER, Pdeathsig: unix.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1000, Size: 10}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1000, Size: 10}},
	}
	check(t, holder.Start())
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	users, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", holder.Process.Pid))
	check(t, err)
	defer func() { _ = users.Close() }()
	clone, err := unix.OpenTree(unix.AT_FDCWD, m.Point, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	check(t, err)
	check(t, unix.MountSetattr(clone, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users.Fd())}))
	point := lab.Mkdir("idmapped")
	check(t, unix.MoveMount(clone, "", unix.AT_FDCWD, point, unix.MOVE_MOUNT_F_EMPTY_PATH))
	check(t, unix.Close(clone))
	defer func() { check(t, testfs.Unmount(point)) }()
	wantOwner(t, point+"/file", 1003, 1004)
	lab.Shell("", fmt.Sprintf("setpriv --reuid 1003 --regid 1004 --clear-groups sh -c 'cd %s && echo more >>file && mkdir dir && touch dir/new'", point))
	for _, name := range []string{"file", "dir", "dir/new"} {
		wantOwner(t, point+"/"+name, 1003, 1004)
		wantOwner(t, m.Path(name), 3, 4)
		wantOwner(t, m.InUpper(name), 3, 4)
	}
	for name, change := range map[string]func(fd int) error{
		"allocate": func(fd int) error { return unix.Fallocate(fd, 0, 0, 100) },
		"write":    func(fd int) error { return second(unix.Write(fd, []byte("x"))) },
	} {
		check(t, unix.Chmod(m.Path("file"), 0o6755))
		check(t, testfs.As(testfs.User{UID: 1003, GID: 1004}, func() error { return withFd(point+"/file", unix.O_WRONLY, change) }))
		var st unix.Stat_t
		if err := unix.Stat(m.InUpper("file"), &st); err != nil || st.Mode&0o7777 != 0o755 {
			t.Errorf("%s leaves mode %o, %v", name, st.Mode, err)
		}
	}
	if err := os.WriteFile(point+"/roots", nil, 0o644); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("root is not mapped: %v", err)
	}
}
