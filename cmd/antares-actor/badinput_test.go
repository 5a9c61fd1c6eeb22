package main_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// badInput is one thing that mounting must refuse. prepare returns the flags beside --origin and the mountpoint.
type badInput struct {
	refusal
	origin  string // default: the test's
	prepare func(t *testing.T, lab *testfs.Lab, origin string) (flags []string, point string)
}

func flagsOnly(flags ...string) func(*testing.T, *testfs.Lab, string) ([]string, string) {
	return func(_ *testing.T, lab *testfs.Lab, _ string) ([]string, string) { return flags, lab.Mkdir("mnt") }
}

// badRequests do not depend on where anything is mounted.
var badRequests = map[string]badInput{
	"unknown revision": {
		refusal: refusal{2, []string{"unknown revision", `"nope"`, "name a commit"}}, prepare: flagsOnly("--rev", "nope"),
	},
	"commit that is not there": {
		refusal: refusal{2, []string{"unknown revision", "c0ffee00", "name a commit"}},
		prepare: flagsOnly("--rev", "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"),
	},
	"path that is a file": {
		refusal: refusal{2, []string{"dir/a/same", "it is a file", "give a directory"}}, prepare: flagsOnly("--path", "dir/a/same"),
	},
	"path that is not there": {
		refusal: refusal{2, []string{"dir/nope", "no such directory", "give a directory"}}, prepare: flagsOnly("--path", "dir/nope"),
	},
	"path below a file": {
		refusal: refusal{2, []string{"README.md", "it is a file", "give a directory"}}, prepare: flagsOnly("--path", "README.md/x"),
	},
	"path that leads out": {
		refusal: refusal{2, []string{`"../etc"`, "give a directory"}}, prepare: flagsOnly("--path", "../etc"),
	},
	"log level that is none": {
		refusal: refusal{2, []string{`--log-level "loud"`, "give debug, info"}}, prepare: flagsOnly("--log-level", "loud"),
	},
	"unknown flag": {
		refusal: refusal{2, []string{"--frob", "--help"}}, prepare: flagsOnly("--frob"),
	},
	"origin of an unknown kind": {
		refusal: refusal{2, []string{`"ftp://host"`, "give git:PATH"}}, origin: "ftp://host", prepare: flagsOnly(),
	},
	"origin that is no repository": {
		refusal: refusal{2, []string{"/nonexistent", "git repository"}}, origin: "git:/nonexistent", prepare: flagsOnly(),
	},
	"origin address without a host": {
		refusal: refusal{2, []string{`"http://"`, "http://HOST:PORT"}}, origin: "http://", prepare: flagsOnly(),
	},
	"origin that is down": {
		refusal: refusal{3, []string{"http://127.0.0.1:1/", "refused", "is the server running"}}, origin: "http://127.0.0.1:1", prepare: flagsOnly(),
	},
}

func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	refuseAll(t, badRequests)
}

// badPlaces are directories that cannot be mounted on, or written to.
var badPlaces = map[string]badInput{
	"mountpoint that is missing": {
		refusal{3, []string{"mnt-missing", "does not exist", "make the directory"}}, "",
		func(_ *testing.T, lab *testfs.Lab, _ string) ([]string, string) { return nil, lab.Path("mnt-missing") },
	},
	"mountpoint that is not empty": {
		refusal{3, []string{"mnt-full", "not empty", "choose an empty"}}, "",
		func(_ *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			lab.Mkdir("mnt-full", "x")
			return nil, lab.Path("mnt-full")
		},
	},
	"mountpoint that is a file": {
		refusal{3, []string{"mnt-file", "not a directory", "choose an empty"}}, "",
		func(t *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			return nil, writeFile(t, lab.Path("mnt-file"), "")
		},
	},
	"mountpoint that is mounted already": {
		refusal{3, []string{"mnt-mounted", "already mounted", "choose another"}}, "",
		func(_ *testing.T, lab *testfs.Lab, origin string) ([]string, string) {
			return nil, lab.Mount(testfs.Spec{Origin: origin, Point: lab.Mkdir("mnt-mounted")}).Point
		},
	},
	"upper of another mount": {
		refusal{3, []string{"upper-used", "another mount", "unmount that one"}}, "",
		func(_ *testing.T, lab *testfs.Lab, origin string) ([]string, string) {
			m := lab.Mount(testfs.Spec{Origin: origin, Upper: lab.Path("upper-used")})
			return []string{"--upper", m.Upper}, lab.Mkdir("mnt")
		},
	},
	"upper on a read-only file system": {
		refusal{3, []string{"ro/upper", "read-only", "choose another --upper"}}, "",
		func(t *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			dir := tmpfs(t, lab, "ro", "size=1m")
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			return []string{"--upper", dir + "/upper"}, lab.Mkdir("mnt")
		},
	},
	"upper that exists on a read-only file system": {
		refusal{3, []string{"ro/upper", "read-only", "choose another --upper"}}, "",
		func(t *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			dir := tmpfs(t, lab, "ro", "size=1m")
			lab.Mkdir("ro", "upper")
			lab.Mkdir("ro", "upper.work")
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			return []string{"--upper", dir + "/upper"}, lab.Mkdir("mnt")
		},
	},
	"upper on a full disk": {
		refusal{3, []string{"full/upper", "no space", "free some space"}}, "",
		func(t *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			dir := tmpfs(t, lab, "full", "size=64k,nr_inodes=64")
			fill(t, dir)
			return []string{"--upper", dir + "/upper"}, lab.Mkdir("mnt")
		},
	},
	"upper that is a file": {
		refusal{3, []string{"upper-file", "not a directory", "choose another --upper"}}, "",
		func(t *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			return []string{"--upper", writeFile(t, lab.Path("upper-file"), "")}, lab.Mkdir("mnt")
		},
	},
	"work directory on another file system": {
		refusal{3, []string{"other/work", "another file system", "put them on the same"}}, "",
		func(t *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			dir := tmpfs(t, lab, "other", "size=1m")
			return []string{"--upper", lab.Path("upper"), "--work", dir + "/work"}, lab.Mkdir("mnt")
		},
	},
	"work directory inside upper": {
		refusal{3, []string{"upper/work", "must not contain each other"}}, "",
		func(_ *testing.T, lab *testfs.Lab, _ string) ([]string, string) {
			return []string{"--upper", lab.Path("upper"), "--work", lab.Path("upper/work")}, lab.Mkdir("mnt")
		},
	},
}

func TestBadPlacesAreRefused(t *testing.T) {
	t.Parallel()
	refuseAll(t, badPlaces)
}

// refuseAll tries each bad input by each command that mounts, and from each origin unless it is the origin that is bad.
func refuseAll(t *testing.T, inputs map[string]badInput) {
	t.Helper()
	repo := origintest.NewRepo(t)
	url := suite.New(t).Mono(repo.Dir)
	for name, in := range inputs {
		origins := map[string]string{"git": "git:" + repo.Dir, "http": url}
		if in.origin != "" {
			origins = map[string]string{"bad": in.origin}
		}
		for kind, origin := range origins {
			for way, line := range ways {
				t.Run(name+"/"+kind+"/"+way, func(t *testing.T) {
					lab := suite.New(t)
					flags, point := in.prepare(t, lab, origin)
					wantRefusal(t, lab, in.refusal, line(point, append([]string{"--origin", origin}, withUpper(lab, flags)...))...)
				})
			}
		}
	}
}

// withUpper adds an upper to flags that have none. Nothing of it may be left.
func withUpper(lab *testfs.Lab, flags []string) []string {
	for _, f := range flags {
		if f == "--upper" {
			return flags
		}
	}
	return append(flags, "--upper", lab.Path("made/for/it/upper"))
}

func TestRefusedMountsLeaveNoDefaultDirectories(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	lab := suite.New(t)
	wantRefusal(t, lab, refusal{2, []string{`"nope"`}}, "run", "--origin", "git:"+repo.Dir, "--rev", "nope", "--", "true")
	wantRefusal(t, lab, refusal{2, []string{`"nope"`}}, "mount", "--origin", "git:"+repo.Dir, "--rev", "nope", lab.Mkdir("mnt"))
	wantRefusal(t, lab, refusal{3, []string{"mnt-missing"}}, "mount", "--origin", "git:"+repo.Dir, lab.Path("mnt-missing"))
	// What is found out only when upper and its work directory have been made:
	for _, way := range []string{"run", "mount"} {
		args := []string{way, "--origin", "git:" + repo.Dir, "--lower", "dir:/nonexistent", "--", map[string]string{"run": "true", "mount": lab.Path("mnt")}[way]}
		wantRefusal(t, lab, refusal{2, []string{"/nonexistent", "dir:PATH"}}, args...)
	}
}

func TestBadCommandLinesAreRefused(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	repo := origintest.NewRepo(t).Dir
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"frob"}, []string{`"frob"`, "--help"}},
		{[]string{"--frob"}, []string{"--frob", "--help"}},
		{[]string{"mount"}, []string{"MOUNTPOINT", "mount --help"}},
		{[]string{"mount", "a", "b"}, []string{"MOUNTPOINT", "mount --help"}},
		{[]string{"unmount"}, []string{"MOUNTPOINT", "unmount --help"}},
		{[]string{"switch"}, []string{"MOUNTPOINT", "switch --help"}},
		{[]string{"warm", "x"}, []string{"PATTERN", "warm --help"}},
		{[]string{"run"}, []string{"COMMAND"}},
		{[]string{"list", "x"}, []string{"list", "list --help"}},
		{[]string{"mono", "--git", "/nonexistent"}, []string{"/nonexistent", "git repository"}},
		{[]string{"mono", "--git", repo, "--head", "nope"}, []string{"--head", `"nope"`}},
		{[]string{"mono", "--git", repo, "--cl", "nope"}, []string{`--cl "nope"`, "LINK=REV"}},
		{[]string{"mono", "--git", repo, "--cl", "A=nope"}, []string{"changelist A", `"nope"`}},
		{[]string{"mono", "--git", repo, "--cl", "A=HEAD..nope"}, []string{"changelist A", `"nope"`}},
		{[]string{"mono", "--git", repo, "--cl", "A=@/nonexistent"}, []string{"--cl A", "/nonexistent"}},
		{[]string{"mono", "--git", repo, "--cl", "a/b=HEAD"}, []string{`"a/b"`, "letters"}},
		{[]string{"mono", "--git", repo, "--fault", "{"}, []string{"--fault {"}},
		{[]string{"mono", "--git", repo, "--fault", `{"kind":"nope"}`}, []string{`"nope"`, "give one of", "corrupt"}},
		{[]string{"mono", "--git", repo, "--cl-path", "A=dir"}, []string{`--cl-path "A=dir"`}},
		{[]string{"mono", "--log-level", "loud"}, []string{"loud", "give debug, info"}},
		{[]string{"mount", "--origin", "git:/nonexistent@v1", "--rev", "v2", "x"}, []string{"v1", "v2", "give one"}},
	} {
		wantRefusal(t, lab, refusal{2, c.says}, c.args...)
	}
	wantRefusal(t, lab, refusal{3, []string{"not mounted", lab.Dir}}, "unmount", lab.Dir)
}

func TestUsedPortIsRefused(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	lab := suite.New(t)
	address := lab.Mono(repo.Dir)[len("http://"):]
	wantRefusal(t, lab, refusal{4, []string{address, "in use", "choose another --listen"}}, "mono", "--git", repo.Dir, "--listen", address)
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tmpfs mounts a tmpfs of the lab for the test's duration.
func tmpfs(t *testing.T, lab *testfs.Lab, name, options string) string {
	t.Helper()
	dir := lab.Mkdir(name)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := testfs.Unmount(dir); err != nil {
			t.Errorf("umount %s: %v", dir, err)
		}
	})
	return dir
}

// fill takes a tmpfs's last block and its last inode.
func fill(t *testing.T, dir string) {
	t.Helper()
	_ = os.WriteFile(dir+"/fill", make([]byte, 1<<20), 0o644)
	for i := 0; ; i++ {
		if err := os.WriteFile(dir+"/fill"+string(rune('a'+i%26))+string(rune('a'+i/26)), nil, 0o644); err != nil {
			return
		}
	}
}
