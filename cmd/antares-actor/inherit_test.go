package main_test

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// births make a file. Each is done with a free name and over one that was removed from the origin.
var births = []struct {
	name string
	do   func(path string) error
}{
	{"create", func(p string) error {
		fd, err := unix.Open(p, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o666)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}},
	{"create executable", func(p string) error { return unix.Mknod(p, unix.S_IFREG|0o6777, 0) }},
	{"mkdir", func(p string) error { return unix.Mkdir(p, 0o777) }},
	{"mkdir closed", func(p string) error { return unix.Mkdir(p, 0o1750) }},
	{"mkfifo", func(p string) error { return unix.Mkfifo(p, 0o662) }},
	{"symlink", func(p string) error { return unix.Symlink("low", p) }},
	{"temporary file", func(p string) error {
		fd, err := unix.Open(filepath.Dir(p), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o2666)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/thread-self/fd/%d", fd), unix.AT_FDCWD, p, unix.AT_SYMLINK_FOLLOW)
	}},
}

// inheritance makes files in directories with and without default ACLs and set-gid, as different users and with different
// umasks.
func (l *lister) inheritance() error {
	for _, dir := range []struct {
		path, list string
		mode       uint32
	}{
		{"plain", "", 0o777},
		{"setgid", "", 0o2777},
		{"inherit", "u::rwx,u:1001:rwx,g::r-x,m::rwx,o::---", 0o777},
		{"opened", "u::rwx,g::rwx,o::rwx", 0o3777},
	} {
		if dir.list != "" {
			l.say("default "+dir.list, setACL(dir.path, defaultACL, dir.list), dir.path)
		}
		if err := unix.Chown(dir.path, 0, team); err != nil {
			return err
		}
		l.say("chmod", unix.Chmod(dir.path, dir.mode), dir.path)
		serial := 0
		for _, umask := range []int{0o022, 0, 0o077} {
			unix.Umask(umask)
			for _, u := range actingUsers[:4] {
				for _, b := range births {
					fresh := fmt.Sprintf("%s/new-%d", dir.path, serial)
					err := testfs.As(u.User, func() error { return b.do(fresh) })
					l.say(fmt.Sprintf("%s in %s by %s with umask %o", b.name, dir.path, u.name, umask), err, fresh)
					l.ids(fresh)
					serial++
				}
			}
		}
		if err := l.overWhiteouts(dir.path); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) overWhiteouts(dir string) error {
	unix.Umask(0o027)
	defer unix.Umask(0o022)
	for i := range 12 {
		b, u := births[i%len(births)], actingUsers[i%3]
		old := fmt.Sprintf("%s/low-%d", dir, i)
		if i%2 == 1 {
			old = fmt.Sprintf("%s/dir-%d", dir, i)
		}
		if err := os.RemoveAll(old); err != nil {
			return err
		}
		err := testfs.As(u.User, func() error { return b.do(old) })
		l.say(fmt.Sprintf("%s over %s by %s", b.name, old, u.name), err, old)
		l.ids(old)
		var st unix.Stat_t
		if unix.Lstat(old, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
			l.say("and in it", births[0].do(old+"/in"), old+"/in")
			l.say("and below", births[2].do(old+"/below"), old+"/below")
		}
	}
	return nil
}

func (l *lister) ids(path string) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	fmt.Printf("%d %d:%d %v\n", l.line, st.Uid, st.Gid, err)
}
