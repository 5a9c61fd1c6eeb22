package main_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["times"] = times
}

// TestTimesChangeAsOnAPlainFileSystem: which of a file's times move, and which stay, at each operation. Listing a
// directory is left out: it does not move the access time in a mount (README, Limits).
func TestTimesChangeAsOnAPlainFileSystem(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		plain := lab.Checkout(repo.Dir, "HEAD")
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, made := range []bool{false, true} {
			for _, dir := range []string{plain, m.Point} {
				if made { // the same in files and directories of upper
					lab.Shell(dir, "mkdir made && cd made && mkdir -p dir/a/b && echo x > README.md && echo y > foo.txt && ln -s x link && echo same > dir/a/same")
				}
			}
			where := func(root string) string {
				if made {
					return root + "/made"
				}
				return root
			}
			want, got := lab.Role(where(plain), "times"), lab.Role(where(m.Point), "times")
			if got != want {
				t.Errorf("made %v: times change so in the mount:\n%s\nand so in a plain directory:\n%s", made, got, want)
			}
		}
	})
}

// timed are the steps, and the paths whose times are looked at after each.
var timed = []struct {
	name  string
	do    func() error
	paths []string
}{
	{"stat", func() error { _, err := os.Lstat("README.md"); return err }, []string{"README.md", "."}},
	{"write", func() error { return appendTo("README.md", "more") }, []string{"README.md", "."}},
	{"write again", func() error { return appendTo("README.md", "more") }, []string{"README.md", "."}},
	{"append nothing", func() error { return appendTo("README.md", "") }, []string{"README.md"}},
	{"truncate", func() error { return os.Truncate("README.md", 3) }, []string{"README.md"}},
	{"truncate to the same size", func() error { return os.Truncate("README.md", 3) }, []string{"README.md"}},
	{"ftruncate to the same size", func() error { return fdo("README.md", func(fd int) error { return unix.Ftruncate(fd, 3) }) }, []string{"README.md"}},
	{"open with O_TRUNC", func() error { return os.WriteFile("README.md", nil, 0) }, []string{"README.md"}},
	{"open an empty one with O_TRUNC", func() error { return os.WriteFile("README.md", nil, 0) }, []string{"README.md"}},
	{"fallocate", func() error { return fdo("README.md", func(fd int) error { return unix.Fallocate(fd, 0, 0, 5000) }) }, []string{"README.md"}},
	{"chmod", func() error { return unix.Chmod("foo.txt", 0o600) }, []string{"foo.txt", "."}},
	{"chown", func() error { return unix.Chown("foo.txt", 1, 1) }, []string{"foo.txt"}},
	{"chown to nobody else", func() error { return unix.Chown("foo.txt", -1, -1) }, []string{"foo.txt"}},
	{"setxattr", func() error { return unix.Setxattr("foo.txt", "user.k", []byte("v"), 0) }, []string{"foo.txt"}},
	{"removexattr", func() error { return unix.Removexattr("foo.txt", "user.k") }, []string{"foo.txt"}},
	{"link", func() error { return unix.Link("foo.txt", "linked") }, []string{"foo.txt", "."}},
	{"unlink one of two", func() error { return unix.Unlink("linked") }, []string{"foo.txt", "."}},
	{"rename", func() error { return unix.Rename("foo.txt", "foo2.txt") }, []string{"foo2.txt", "."}},
	{"rename elsewhere", func() error { return unix.Rename("foo2.txt", "dir/foo2.txt") }, []string{"dir/foo2.txt", ".", "dir"}},
	{"create", func() error { return os.WriteFile("dir/a/new", nil, 0o644) }, []string{"dir/a/new", "dir/a", "dir"}},
	{"open an old one with O_CREAT", func() error { return appendTo("dir/a/new", "") }, []string{"dir/a/new", "dir/a"}},
	{"mkdir", func() error { return os.Mkdir("dir/a/newdir", 0o755) }, []string{"dir/a/newdir", "dir/a"}},
	{"rmdir", func() error { return os.Remove("dir/a/newdir") }, []string{"dir/a"}},
	{"symlink", func() error { return os.Symlink("x", "dir/a/sym") }, []string{"dir/a/sym", "dir/a"}},
	{"rename of a directory", func() error { return os.Rename("dir/a/b", "dir/b2") }, []string{"dir/b2", "dir/a", "dir"}},
	{"rename over a file", func() error { return os.Rename("dir/a/new", "dir/a/same") }, []string{"dir/a/same", "dir/a"}},
	{"exchange", func() error {
		return unix.Renameat2(unix.AT_FDCWD, "dir/a/sym", unix.AT_FDCWD, "dir/a/same", unix.RENAME_EXCHANGE)
	}, []string{"dir/a/same", "dir/a/sym", "dir/a"}},
	{"lchown", func() error { return unix.Lchown("link", 3, 3) }, []string{"link", "."}},
	{"utimensat now", func() error { return utimes("dir/foo2.txt", unix.UTIME_NOW, unix.UTIME_NOW) }, []string{"dir/foo2.txt", "dir"}},
	{"utimensat omit both", func() error { return utimes("dir/foo2.txt", unix.UTIME_OMIT, unix.UTIME_OMIT) }, []string{"dir/foo2.txt"}},
	{"utimensat omit one", func() error { return utimes("dir/foo2.txt", unix.UTIME_OMIT, 7) }, []string{"dir/foo2.txt"}},
	{"utimensat now and omit", func() error { return utimes("dir/foo2.txt", unix.UTIME_NOW, unix.UTIME_OMIT) }, []string{"dir/foo2.txt"}},
	{"utimensat of a link", func() error { return utimes("link", 123_456_789, 987_654_321) }, []string{"link"}},
	{"utimensat of a directory", func() error { return utimes("dir", 123_456_789, 987_654_321) }, []string{"dir"}},
	{"a failed unlink", func() error { _ = unix.Unlink("dir/none"); return nil }, []string{"dir"}},
	{"read", func() error { _, err := os.ReadFile("dir/foo2.txt"); return err }, []string{"dir/foo2.txt"}},
	{"read a link", func() error { _, err := os.Readlink("link"); return err }, []string{"link"}},
	{"mknod", func() error { return unix.Mkfifo("dir/pipe", 0o600) }, []string{"dir/pipe", "dir"}},
}

func utimes(path string, a, m int64) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 1_200_000_000, Nsec: a}, {Sec: 1_300_000_000, Nsec: m}}, unix.AT_SYMLINK_NOFOLLOW)
}

func fdo(path string, do func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return do(fd)
}

// times performs each step after the times of what it looks at were set back, and says which moved. The change time cannot
// be set; it has moved if it is not what it was before.
func times([]string) error {
	for _, step := range timed {
		before := make(map[string]unix.Stat_t)
		for _, path := range step.paths {
			if err := utimes(path, 1, 2); err == nil {
				var st unix.Stat_t
				if err := unix.Lstat(path, &st); err != nil {
					return err
				}
				before[path] = st
			}
		}
		tick()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		for _, path := range step.paths {
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				return err
			}
			was, known := before[path]
			fmt.Printf("%s: %s: mtime %s ctime %s atime %s\n", step.name, path, moved(known, was.Mtim, st.Mtim), moved(known, was.Ctim, st.Ctim), moved(known, was.Atim, st.Atim))
		}
	}
	return nil
}

// tick waits until the kernel's clock for files has moved on.
func tick() {
	var then, now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &then)
	for now = then; now == then; {
		_ = unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &now)
	}
}

func moved(known bool, was, is unix.Timespec) string {
	switch {
	case known && was == is:
		return "stays"
	case is.Sec < 1_400_000_000:
		return fmt.Sprint(is.Sec, ".", is.Nsec)
	}
	return "now"
}
