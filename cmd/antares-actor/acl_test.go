package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["list access"] = listAccess
	roles["meet lists"] = meetLists
}

// TestAccessControlLists does what a role does in a mount, a plain directory and a kernel overlayfs, and looks at what it
// left in the mount again when it is mounted anew, by us and by the kernel.
func TestAccessControlLists(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for _, dir := range []string{"listed", "inherit", "setgid", "opened", "plain"} {
		for i := range 24 {
			files[fmt.Sprintf("%s/low-%d", dir, i)] = "low"
			files[fmt.Sprintf("%s/dir-%d/low", dir, i)] = "low"
		}
	}
	repo := importRepo(t, files)
	lab := suite.New(t)
	plain := lab.Checkout(repo.Dir, "HEAD")
	want := strings.Split(lab.Role(plain, "list access"), "\n")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	sameLines(t, "mount", strings.Split(lab.Role(m.Point, "list access"), "\n"), "plain directory", want)
	overlay := lab.Overlay(lab.Checkout(repo.Dir, "HEAD"))
	sameAsOverlay(t, strings.Split(lab.Role(overlay, "list access"), "\n"), want)

	left := testfs.Take(t, plain, belowRoot)
	testfs.Same(t, "mount", testfs.Take(t, m.Point, belowRoot), "plain directory", left)
	m.Unmount()
	lab.KernelOverlay(lab.Checkout(repo.Dir, "HEAD"), m.Upper, func(point string) {
		testfs.Same(t, "overlayfs over our upper", testfs.Take(t, point, belowRoot), "plain directory", left)
	})
	again := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: m.Upper})
	testfs.Same(t, "remount", testfs.Take(t, again.Point, belowRoot), "plain directory", left)
	meetLowerLists(t, lab, plain, left)
}

// belowRoot is a look at all but the root, which has other ids and modes everywhere.
var belowRoot = testfs.Look{Skip: []string{"."}}

// meetLowerLists has the lists in a lower directory, where they count before the copy-up and after it.
func meetLowerLists(t *testing.T, lab *testfs.Lab, tree string, left testfs.Snapshot) {
	t.Helper()
	lower := lab.Path("lower")
	lab.Shell("/", fmt.Sprintf("cp -a '%s' '%s'", tree, lower))
	m := lab.Mount(testfs.Spec{Flags: []string{"--lower", "dir:" + lower}})
	testfs.Same(t, "mount over a directory", testfs.Take(t, m.Point, belowRoot), "plain directory", left)
	overlay := lab.Overlay(lower)
	want := strings.Split(lab.Role(tree, "meet lists"), "\n")
	sameLines(t, "mount", strings.Split(lab.Role(m.Point, "meet lists"), "\n"), "plain directory", want)
	sameAsOverlay(t, strings.Split(lab.Role(overlay, "meet lists"), "\n"), want)
	testfs.Same(t, "mount over a directory", testfs.Take(t, m.Point, belowRoot), "plain directory", testfs.Take(t, tree, belowRoot))
	testfs.Same(t, "lower directory", testfs.Take(t, lower, belowRoot), "plain directory before", left)
}

// TestALowerFileSystemWithoutLists: everybody may do what the mode says, and files get lists by being copied up.
func TestALowerFileSystemWithoutLists(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	lower := lab.Mkdir("ramfs")
	if err := unix.Mount("ramfs", lower, "ramfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := testfs.Unmount(lower); err != nil {
			t.Errorf("umount ramfs: %v", err)
		}
	})
	lab.Shell(lower, "chmod 755 .; mkdir dir; echo text > dir/file; chgrp 1077 dir/file; chmod 640 dir/file")
	m := lab.Mount(testfs.Spec{Flags: []string{"--lower", "dir:" + lower}})
	for _, u := range actingUsers {
		err := testfs.As(u.User, func() error { return canRead(m.Path("dir", "file")) })
		if allowed := u.UID == 0 || u.GID == team || len(u.Groups) > 0; allowed != (err == nil) {
			t.Errorf("%s reads: %v", u.name, err)
		}
	}
	if err := setACL(m.Path("dir", "file"), accessACL, lists[0]); err != nil {
		t.Error(err)
	}
	if got := aclOf(m.Path("dir", "file")); got != "100664 access "+lists[0] {
		t.Errorf("it has %s", got)
	}
}

func canRead(path string) error {
	_, err := os.ReadFile(path)
	return err
}

// removal is what steps are called that remove a list. They succeed if there is none; on a lower file of a kernel overlayfs
// they do not.
const removal = "remove a list"

func sameAsOverlay(t *testing.T, overlay, want []string) {
	t.Helper()
	for i := range min(len(overlay), len(want)) {
		if strings.Contains(want[i], removal) && strings.Contains(overlay[i], unix.ENODATA.Error()) {
			overlay[i] = want[i]
		}
	}
	sameLines(t, "overlayfs", overlay, "plain directory", want)
}

// lister says what happens to access control lists in its working directory.
type lister struct{ line int }

func listAccess([]string) error {
	l := &lister{}
	for _, part := range []func() error{l.access, l.inheritance, l.refusals, l.changes} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) say(what string, err error, paths ...string) {
	shown := make([]string, len(paths))
	for i, path := range paths {
		shown[i] = aclOf(path)
	}
	fmt.Printf("%d %s: %v: %s\n", l.line, what, err, strings.Join(shown, " | "))
	l.line++
}

// lists are access ACLs: a user more, a group more, both, a mask that takes from them, and one that the mode holds as well.
var lists = []string{
	"u::rw-,u:1001:rw-,g::r--,m::rw-,o::r--",
	"u::rwx,g::---,g:1077:rwx,m::rwx,o::---",
	"u::rw-,u:1000:---,u:1001:r--,g::rw-,g:1077:-w-,m::rw-,o::rw-",
	"u::rw-,u:1001:rwx,g::rwx,m::r--,o::---",
	"u::r--,g::rwx,o::--x",
}

// access sets lists on files and directories and lets everybody try what they may.
func (l *lister) access() error {
	for i, list := range lists {
		file, dir := fmt.Sprintf("listed/low-%d", i), fmt.Sprintf("listed/dir-%d", i)
		for _, path := range []string{file, dir} {
			l.say("before", nil, path)
			l.say("set "+list, setACL(path, accessACL, list), path)
			l.tryAll(path)
			for _, mode := range []uint32{0o640, 0o606, 0o777} {
				l.say(fmt.Sprintf("chmod %o", mode), unix.Chmod(path, mode), path)
				l.tryAll(path)
			}
			l.say("chown", unix.Chown(path, 1001, 1077), path)
			l.tryAll(path)
			l.say("again "+list, setACL(path, accessACL, list), path)
		}
		l.say("rename", unix.Rename(file, file+"-moved"), file+"-moved")
		l.say("rename", unix.Rename(dir, dir+"-moved"), dir+"-moved", dir+"-moved/low")
		l.say("link", unix.Link(file+"-moved", file), file)
		if i%2 == 0 {
			l.say(removal, unix.Removexattr(file, accessACL), file)
			l.tryAll(file)
		}
	}
	return nil
}

// tryAll says who may read, write and execute; root is not asked.
func (l *lister) tryAll(path string) {
	for _, u := range actingUsers {
		if u.UID == 0 {
			continue
		}
		var may []string
		_ = testfs.As(u.User, func() error {
			for _, how := range []struct {
				name string
				mode uint32
			}{{"read", unix.R_OK}, {"write", unix.W_OK}, {"execute", unix.X_OK}} {
				if unix.Faccessat(unix.AT_FDCWD, path, how.mode, unix.AT_EACCESS) == nil {
					may = append(may, how.name)
				}
			}
			if fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
				may = append(may, "open")
				_ = unix.Close(fd)
			}
			return nil
		})
		l.say(fmt.Sprintf("%s may %v", u.name, may), nil, path)
	}
}

// refusals are what cannot be set, and by whom.
func (l *lister) refusals() error {
	const list = "u::rwx,u:1001:rwx,g::r-x,m::rwx,o::---"
	if err := unix.Symlink("low-20", "listed/link"); err != nil {
		return err
	}
	l.say("default on a file", setACL("listed/low-20", defaultACL, list), "listed/low-20")
	l.say("on a symbolic link", unix.Lsetxattr("listed/link", accessACL, encodeACL(list), 0), "listed/link")
	l.say("without a mask", setACL("listed/low-20", accessACL, "u::rwx,u:1001:rwx,g::r-x,o::---"), "listed/low-20")
	l.say("in disorder", setACL("listed/low-20", accessACL, "g::r-x,u::rwx,o::---"), "listed/low-20")
	l.say("cut off", unix.Setxattr("listed/low-20", accessACL, encodeACL(list)[:13], 0), "listed/low-20")
	l.say(removal+" by an empty one", unix.Setxattr("listed/low-20", accessACL, nil, 0), "listed/low-20")
	l.say(removal, unix.Removexattr("listed/low-20", accessACL), "listed/low-20")
	l.say(removal, unix.Removexattr("listed/low-21", defaultACL), "listed/low-21")
	l.say(removal, unix.Removexattr("listed/dir-21", defaultACL), "listed/dir-21")
	l.say("too little room", second(unix.Getxattr("listed/low-1-moved", accessACL, make([]byte, 5))))
	for _, u := range actingUsers[1:4] {
		for _, path := range []string{"listed/low-20", "listed/low-1-moved", "listed/dir-1-moved"} {
			for _, name := range []string{accessACL, defaultACL} {
				err := testfs.As(u.User, func() error { return setACL(path, name, list) })
				l.say(fmt.Sprintf("set %s of %s by %s", name, path, u.name), err, path)
				err = testfs.As(u.User, func() error { return unix.Removexattr(path, name) })
				l.say(fmt.Sprintf("remove %s of %s by %s", name, path, u.name), err, path)
			}
		}
	}
	return nil
}

// changes are what lists do to set-gid and what else touches both: set-gid goes if the setter is not in the group.
func (l *lister) changes() error {
	for i, mode := range []uint32{0o2775, 0o6764, 0o4755} {
		for j, u := range actingUsers {
			for _, kind := range []string{"low", "dir"} {
				path := fmt.Sprintf("setgid/%s-%d", kind, 12+(i*len(actingUsers)+j)%12)
				if err := unix.Chown(path, int(u.UID), team); err != nil {
					return err
				}
				if err := unix.Chmod(path, mode); err != nil {
					return err
				}
				list := lists[(i+j)%len(lists)]
				err := testfs.As(u.User, func() error { return setACL(path, accessACL, list) })
				l.say(fmt.Sprintf("list on mode %o by %s", mode, u.name), err, path)
				err = testfs.As(u.User, func() error { return unix.Chmod(path, 0o2751) })
				l.say("chmod by "+u.name, err, path)
				err = testfs.As(u.User, func() error { return unix.Chown(path, -1, int(u.GID)) })
				l.say("chgrp by "+u.name, err, path)
			}
		}
	}
	names := make([]byte, 256)
	n, err := unix.Listxattr("inherit", names)
	if err != nil {
		return err
	}
	all := strings.FieldsFunc(string(names[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(all)
	l.say(fmt.Sprint("names ", slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(s, "system.") })), nil)
	return nil
}

// meetLists goes over a tree with lists in it: who may do what, then a change that copies up, then who may do what.
func meetLists([]string) error {
	l := &lister{}
	paths, err := filepath.Glob("*/*")
	if err != nil {
		return err
	}
	paths = append(paths, "plain", "inherit", "setgid", "opened")
	for i, path := range paths {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if typ := st.Mode & unix.S_IFMT; typ != unix.S_IFREG && typ != unix.S_IFDIR {
			continue
		}
		l.tryAll(path)
		switch i % 4 {
		case 0:
			l.say("chmod", unix.Chmod(path, 0o711+uint32(i%7)*8), path)
		case 1:
			l.say("chown", unix.Chown(path, 1001, -1), path)
		case 2:
			l.say(removal, unix.Removexattr(path, accessACL), path)
		case 3:
			l.say("set times", unix.Utimes(path, []unix.Timeval{{Sec: 1}, {Sec: 2}}), path)
		}
		l.tryAll(path)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			b := births[i%len(births)]
			l.say(b.name, b.do(path+"/born"), path, path+"/born")
		}
	}
	return nil
}
