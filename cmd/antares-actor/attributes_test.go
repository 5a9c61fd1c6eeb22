package main_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// attributed are one path of each layer and type: what the origin has, a directory of it, and what was born in upper.
var attributed = []string{"README.md", "bin/run.sh", "dir/a", "born", "made"}

// setters change attributes one by one; want is what stat must say afterwards.
var setters = []struct {
	name string
	do   func(path string) error
	want func(st *unix.Stat_t) bool
}{
	{"chmod", func(p string) error { return unix.Chmod(p, 0o1751) }, func(st *unix.Stat_t) bool { return st.Mode&0o7777 == 0o1751 }},
	{"chown", func(p string) error { return unix.Chown(p, 123, 456) }, func(st *unix.Stat_t) bool { return st.Uid == 123 && st.Gid == 456 }},
	{"chgrp", func(p string) error { return unix.Chown(p, -1, 7) }, func(st *unix.Stat_t) bool { return st.Uid == 123 && st.Gid == 7 }},
	{
		"utimensat",
		func(p string) error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 11, Nsec: 12}, {Sec: 1_000_000_000, Nsec: 987_654_321}}, 0)
		},
		func(st *unix.Stat_t) bool {
			return st.Mtim == unix.Timespec{Sec: 1_000_000_000, Nsec: 987_654_321} && st.Atim == unix.Timespec{Sec: 11, Nsec: 12}
		},
	},
	{
		"utimensat omitting one",
		func(p string) error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{{Sec: 5}, {Nsec: unix.UTIME_OMIT}}, 0)
		},
		func(st *unix.Stat_t) bool { return st.Mtim.Sec == 1_000_000_000 && st.Atim.Sec == 5 },
	},
}

func TestAttributesAreWhatTheyWereSetTo(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		writeFile(t, m.Path("born"), "born\n")
		if err := os.Mkdir(m.Path("made"), 0o755); err != nil {
			t.Fatal(err)
		}
		before := testfs.Take(t, m.Point, testfs.Look{Inodes: true})
		for _, path := range attributed {
			for _, s := range setters {
				if err := s.do(m.Path(path)); err != nil {
					t.Errorf("%s %s: %v", s.name, path, err)
				}
				for where, p := range map[string]string{"mount": m.Path(path), "upper": m.InUpper(path)} {
					var st unix.Stat_t
					if err := unix.Stat(p, &st); err != nil || !s.want(&st) {
						t.Errorf("%s %s: in %s it is %+v, %v", s.name, path, where, st, err)
					}
				}
			}
		}
		after := testfs.Take(t, m.Point, testfs.Look{Inodes: true})
		for _, path := range attributed {
			if inode(before[path]) != inode(after[path]) {
				t.Errorf("%s: its number was %s and is %s", path, inode(before[path]), inode(after[path]))
			}
		}
		wantContent(t, m.Path("README.md"), "# corpus\n")
		wantContent(t, m.Path("dir/a/same"), "same\n")
	})
}

func TestTruncatingCopiesUpWhatIsKept(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		original := read(t, m.Path("large.bin"))
		for _, size := range []int64{origintest.LargeSize - 1, 4097, 10, 0, 5000} {
			if err := os.Truncate(m.Path("large.bin"), size); err != nil {
				t.Fatal(err)
			}
			want := original[:min(size, int64(len(original)))]
			if size == 5000 { // grown again
				want = strings.Repeat("\x00", 5000)
			}
			wantSame(t, m.Path("large.bin"), want)
			wantSame(t, m.InUpper("large.bin"), want)
		}
		if err := os.Truncate(m.Path("README.md"), 100); err != nil {
			t.Fatal(err)
		}
		wantSame(t, m.Path("README.md"), "# corpus\n"+strings.Repeat("\x00", 91))
	})
}

func wantSame(t *testing.T, path, want string) {
	t.Helper()
	if got := read(t, path); got != want {
		t.Errorf("%s: %d bytes that differ from the %d wanted", path, len(got), len(want))
	}
}

func TestStatfsDescribesUpper(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	lab := suite.New(t)
	dir := tmpfs(t, lab, "disk", "size=8m")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: dir + "/upper"})
	var got, want unix.Statfs_t
	if err := errors.Join(unix.Statfs(m.Point, &got), unix.Statfs(dir, &want)); err != nil {
		t.Fatal(err)
	}
	if got.Blocks*uint64(got.Bsize) != want.Blocks*uint64(want.Bsize) || got.Namelen < 255 || got.Files != want.Files {
		t.Errorf("statfs says %+v, want the tmpfs's %+v", got, want)
	}
	err := os.WriteFile(m.Path("too-large"), make([]byte, 9<<20), 0o644)
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("writing more than there is room for: %v, want ENOSPC", err)
	}
	if err := os.Remove(m.Path("too-large")); err != nil {
		t.Fatal(err)
	}
	await(t, "there is room again", func() bool { // when the kernel has let go of the removed file, which it does in the background
		return os.WriteFile(m.Path("small"), make([]byte, 7<<20), 0o644) == nil
	})
	m.Unmount()
}

func TestExtendedAttributes(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		writeFile(t, m.Path("born"), "")
		for _, path := range []string{"README.md", "dir/a", "born"} {
			checkXattrs(t, m.Path(path))
		}
		if err := unix.Setxattr(m.Path("foo.txt"), "trusted.mine", []byte("t"), 0); err != nil {
			t.Errorf("trusted attribute: %v", err)
		}
		for _, name := range []string{"trusted.overlay.opaque", "trusted.overlay.antares.ino"} { // the overlay's own
			if _, err := unix.Getxattr(m.Path("README.md"), name, nil); !errors.Is(err, unix.ENODATA) {
				t.Errorf("%s: %v, want ENODATA", name, err)
			}
			if err := unix.Setxattr(m.Path("dir"), name, []byte("y"), 0); err != nil { // one of the user's with the same name
				t.Errorf("%s: %v", name, err)
			}
		}
		wantContent(t, m.Path("dir/a/same"), "same\n")
		want := testfs.Take(t, m.Point, testfs.Look{})
		m.Unmount()
		again := lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper})
		testfs.Same(t, "remount", testfs.Take(t, again.Point, testfs.Look{}), "mount", want)
	})
}

// TestTrustedAttributesAreListedToAdministrators: nobody else can read them, and a program that copies what is listed would fail.
func TestTrustedAttributesAreListedToAdministrators(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	lower := lab.Mkdir("lower")
	for path, names := range map[string][]string{"lower/lone": {"trusted.a"}, "lower/both": {"trusted.a", "user.b", "trusted.c"}} {
		writeFile(t, lab.Path(path), "")
		for _, name := range names {
			if err := unix.Setxattr(lab.Path(path), name, []byte("v"), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := lab.Mount(testfs.Spec{Flags: []string{"--lower", "dir:" + lower}})
	for _, changed := range []bool{false, true} {
		for path, all := range map[string]string{"lone": "trusted.a", "both": "trusted.a trusted.c user.b"} {
			others := strings.TrimPrefix(strings.TrimPrefix(all, "trusted.a"), " trusted.c ")
			for user, want := range map[uint32]string{0: all, 1000: others} {
				var got string
				err := testfs.As(testfs.User{UID: user, GID: user}, func() (err error) {
					got, err = listXattrs(m.Path(path))
					return err
				})
				if err != nil || got != want {
					t.Errorf("%s, changed %t, listed to %d: %q, %v; want %q", path, changed, user, got, err, want)
				}
			}
			writeFile(t, m.Path(path), "changed")
		}
	}
}

// listXattrs returns the names in order, with spaces between them.
func listXattrs(path string) (string, error) {
	size, err := unix.Listxattr(path, nil)
	if err != nil || size == 0 {
		return "", err
	}
	buf := make([]byte, size)
	n, err := unix.Listxattr(path, buf)
	names := strings.Split(strings.TrimSuffix(string(buf[:max(n, 0)]), "\x00"), "\x00")
	slices.Sort(names)
	return strings.Join(names, " "), err
}

// checkXattrs sets, reads, lists, replaces and removes.
func checkXattrs(t *testing.T, path string) {
	t.Helper()
	buf := make([]byte, 256)
	steps := []struct {
		what string
		got  error
		want error
	}{
		{"get none", second(unix.Getxattr(path, "user.a", buf)), unix.ENODATA},
		{"replace none", unix.Setxattr(path, "user.a", []byte("1"), unix.XATTR_REPLACE), unix.ENODATA},
		{"remove none", unix.Removexattr(path, "user.a"), unix.ENODATA},
		{"create", unix.Setxattr(path, "user.a", []byte("1"), unix.XATTR_CREATE), nil},
		{"create again", unix.Setxattr(path, "user.a", []byte("1"), unix.XATTR_CREATE), unix.EEXIST},
		{"empty", unix.Setxattr(path, "user.empty", nil, 0), nil},
		{"replace", unix.Setxattr(path, "user.a", []byte("value"), unix.XATTR_REPLACE), nil},
		{"set another", unix.Setxattr(path, "user.gone", []byte("x"), 0), nil},
		{"remove", unix.Removexattr(path, "user.gone"), nil},
		{"get into too little", second(unix.Getxattr(path, "user.a", buf[:2])), unix.ERANGE},
		{"list into too little", second(unix.Listxattr(path, buf[:2])), unix.ERANGE},
	}
	for _, s := range steps {
		if !errors.Is(s.got, s.want) {
			t.Errorf("%s: %s: %v, want %v", path, s.what, s.got, s.want)
		}
	}
	n, err := unix.Getxattr(path, "user.a", buf)
	if err != nil || string(buf[:n]) != "value" {
		t.Errorf("%s: user.a is %q, %v", path, buf[:max(n, 0)], err)
	}
	n, err = unix.Listxattr(path, buf)
	names := strings.Split(strings.TrimSuffix(string(buf[:max(n, 0)]), "\x00"), "\x00")
	slices.Sort(names)
	if err != nil || fmt.Sprint(names) != "[user.a user.empty]" {
		t.Errorf("%s has %q, %v", path, names, err)
	}
}

func second(_ int, err error) error { return err }

// TestUsersAreHeldToThePermissions: the server is root, but who asks is not.
func TestUsersAreHeldToThePermissions(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, `
			mkdir -m 1777 tmp; mkdir -m 700 private; echo x > private/x; echo program > tmp/suid; chmod 6777 tmp/suid
			mkdir -m 2777 shared; chgrp 77 shared; cp README.md mine; chown 1000:1000 mine; chown 1000 foo.txt`)
		r := lab.Run(testfs.Command{Dir: m.Path("tmp"), User: 1000}, "bash", "-euc", `
			umask 022
			deny() { if "$@" 2>/dev/null; then echo "allowed: $*"; fi; }
			deny cp own ../README.md; deny touch ../new; deny cat ../private/x; deny ls ../private; deny rm ../foo.txt
			deny chmod 600 ../README.md; deny chown 1000 ../README.md; deny truncate -s 0 ../README.md; deny rm -r ../dir; deny mv suid ..
			cat ../README.md; echo x > own; mkdir dir; stat -c '%u %g %a' own dir
			echo more >> suid; stat -c %a suid
			touch ../shared/f; mkdir ../shared/d; stat -c '%u %g %a' ../shared/f ../shared/d
			echo more >> ../mine; chmod 600 ../mine; touch -d @5 ../mine; stat -c '%a %Y' ../mine
			chmod 640 ../foo.txt; stat -c '%u %g %a' ../foo.txt`)
		want := "# corpus\n1000 1000 644\n1000 1000 755\n777\n1000 77 644\n1000 77 2755\n600 5\n1000 0 640\n"
		if out := r.OK(); out != want {
			t.Errorf("got %q, want %q\n%s", out, want, r.Stderr)
		}
	})
}
