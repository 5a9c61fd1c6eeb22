package main_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// A mount of a Mega server shows one commit, and what is in it: see docs/defects.md.

// wantCommit checks that a tree is what git checks out.
func wantCommit(t *testing.T, lab *testfs.Lab, point, dir, rev string) {
	t.Helper()
	look := testfs.Look{Skip: []string{"."}}
	testfs.Same(t, "the mount", testfs.Take(t, point, look), "the commit "+rev, testfs.Take(t, lab.Checkout(dir, rev), look))
}

// TestMountsStayAtTheirCommitsWhileTheHeadMoves has two mounts, neither of which has read anything when the head moves away from both.
func TestMountsStayAtTheirCommitsWhileTheHeadMoves(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	repo.Git(t, "checkout", "-q", "-b", "three")
	repo.Remove(t, "bin/tool")
	repo.Write(t, "dir/a/b/c/deep.txt", "deeper\n", 0o755)
	repo.Write(t, "bin/run.sh", "no program any more\n", 0o644)
	repo.Commit(t, "three")
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	mount := func(head, cache string) *testfs.Mount {
		_, err := srv.mono.SetHead(t.Context(), head)
		check(t, err)
		return lab.Mount(testfs.Spec{Origin: srv.URL, Cache: lab.Path(cache)})
	}
	one, two := mount("one", "cache-1"), mount("two", "cache-2")
	_, err := srv.mono.SetHead(t.Context(), "three")
	check(t, err)
	wantCommit(t, lab, one.Point, repo.Dir, "one")
	wantCommit(t, lab, two.Point, repo.Dir, "two")
	for m, rev := range map[*testfs.Mount]string{one: "one", two: "two"} {
		lab.Shell(m.Point, `echo more >> bin/run.sh; test "$(stat -c %a bin/run.sh)" = 755; bin/run.sh > /dev/null 2>&1 || test $? = 127; test -L link`)
		if st, err := os.Stat(m.InUpper("bin/run.sh")); err != nil || st.Mode() != 0o755 { // the kernel may remember the mode
			t.Errorf("its copy: %v, %v", st, err)
		}
		if got := m.Unmount(); got.Commit != repo.ID(t, rev).String() {
			t.Errorf("%s was shown, want %s", got.Commit, rev)
		}
	}
}

// TestWhatWasNeverListedIsThereAfterARestart: of the engine, and of the whole mount, while the head has moved.
func TestWhatWasNeverListedIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--rev", repo.ID(t, "one").String(), "--prefetch", "off"}})
	lab.Shell(m.Point, "ls > /dev/null; stat dir odd foo > /dev/null; cat d/same > /dev/null")
	m.NextEngine(m.KillEngine())
	lab.Shell(m.Point, "test -e odd/50% -a -e foo/in -a ! -e foo/nope; ls dir/a/b > /dev/null")
	m.Unmount()
	again := lab.Mount(testfs.Spec{Origin: srv.URL, Upper: m.Upper, Flags: []string{"--rev", repo.ID(t, "one").String(), "--prefetch", "off"}})
	wantCommit(t, lab, again.Point, repo.Dir, "one")
}

// TestNamesThatGoAndComeBack: files and directories that a switch takes away and another brings back, as the other or with other
// content, some of them open; and the server is killed in between.
func TestNamesThatGoAndComeBack(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	for _, name := range []string{"odd", "large.bin", "dir", "foo"} {
		repo.Remove(t, name)
	}
	states := []map[string]string{
		{"d/x": "first x\n", "d/y": "first y\n", "e/in/z": "first z\n", "e/w": "w\n"},
		{"d/y": "first y\n", "e": "a file\n"},
		{"d/x/in": "third x\n", "d/y": "third y, longer\n", "e/in": "third in\n", "e/w": "w\n"},
		{},
		{"d/x": "fifth x\n", "d/new": "first y\n", "e/in/z": "fifth z\n", "e/w": "other\n"},
	}
	var revs []string
	for _, files := range states {
		repo.Remove(t, "d")
		repo.Remove(t, "e")
		for path, text := range files {
			repo.Write(t, path, text, 0o644)
		}
		revs = append(revs, repo.Commit(t, "next").String())
	}
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, EIO: true, Flags: []string{"--rev", revs[0]}}) // it warns that a root which is not the head's has no proof
	var open []*os.File
	for i, step := range []int{0, 1, 2, 0, 3, 4, 2, 0} {
		lab.Actor("switch", m.Point, revs[step]).OK()
		if i%4 == 3 {
			m.NextEngine(m.KillEngine())
		}
		wantCommit(t, lab, m.Point, repo.Dir, revs[step])
		if step == 0 {
			f, err := os.Open(m.Path("d/x"))
			check(t, err)
			open = append(open, f)
		}
		for _, f := range open {
			if b, err := io.ReadAll(io.NewSectionReader(f, 0, 100)); err != nil || string(b) != states[0]["d/x"] {
				t.Errorf("step %d: the open file reads %q, %v", i, b, err)
			}
		}
	}
	for _, f := range open {
		check(t, f.Close())
	}
}

// TestReadsBehindTheEnd: of files that nobody has read, of those that somebody has, and by each way past the kernel's own check.
func TestReadsBehindTheEnd(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL})
	for name, size := range map[string]int64{"empty": 0, "no-newline": 1, "README.md": 9, "large.bin": origintest.LargeSize} {
		for _, flags := range []int{unix.O_CLOEXEC, unix.O_CLOEXEC | unix.O_DIRECT} {
			fd, err := unix.Open(m.Path(name), flags|unix.O_CLOEXEC, 0)
			check(t, err)
			b := make([]byte, 8192)
			for _, off := range []int64{size, size + 1, size + 4096, size&^4095 + 4096, 1 << 40} {
				if n, err := unix.Pread(fd, b, off); n != 0 || err != nil {
					t.Errorf("%s at %d: %d bytes, %v", name, off, n, err)
				}
			}
			if n, err := unix.Pread(fd, b, max(size-1, 0)); int64(n) != min(size, 1) || err != nil {
				t.Errorf("the last byte of %s: %d bytes, %v", name, n, err)
			}
			check(t, unix.Close(fd))
		}
	}
	lab.Shell(m.Point, "test -z \"$(tail -c +5000000 large.bin)\"; echo x >> empty; test \"$(dd if=empty bs=1 skip=1 status=none | wc -c)\" = 1")
}

// TestTheFirstStatHasTheSize: and costs a request at most; no HEAD, for which a server reads the whole file, and nothing of a large file
// but its beginning.
func TestTheFirstStatHasTheSize(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	repo.Write(t, "d/huge", strings.Repeat("0123456789abcdef", 2<<20), 0o644)
	repo.Commit(t, "sizes")
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	srv.mono.Faults().Add(fault.Rule{Name: "head", Method: "HEAD", Fault: fault.Status(500)})
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}})
	for name, want := range map[string]int64{"README.md": 9, "empty": 0, "large.bin": origintest.LargeSize, "d/huge": 32 << 20, "odd/50%": 10} {
		srv.take()
		st, err := os.Stat(m.Path(name))
		check(t, err)
		if st.Size() != want {
			t.Errorf("%s has %d bytes, want %d", name, st.Size(), want)
		}
		if n := requestKinds(srv.take())["file/blob"]; n > 1 {
			t.Errorf("%s: %d requests for a size", name, n)
		}
	}
	if got := srv.mono.Traffic()["/api/v1/file/blob/{oid}"].Bytes; got > 32<<20 {
		t.Errorf("sizes took %d bytes", got)
	}
	if met := srv.mono.Faults().Rules()[0].Matched; met != 0 {
		t.Errorf("%d HEAD requests", met)
	}
	if b := read(t, m.Path("README.md")); b != "# corpus\n" {
		t.Errorf("after its stat the file reads %q", b)
	}
}

// TestOddNamesThroughAServer: by both of a server's routes, and again after the head has moved.
func TestOddNamesThroughAServer(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	repo.Remove(t, "odd/not-utf8-\xff\xfe") // JSON cannot say it
	for _, dir := range []string{"+", "a&path=%2Fetc", "%2e%2e", "100%", "h#ash", "wh?t=1", "it's", "sp ace ", "grüße", "日本 語", "a;b", "%zz"} {
		repo.Write(t, filepath.Join("names", dir, dir, "in"), "in "+dir+"\n", 0o755)
		repo.Write(t, filepath.Join("names", dir, "x"+dir), "beside "+dir+"\n", 0o644)
		repo.Symlink(t, filepath.Join("names", dir, "link "+dir), dir)
	}
	old := repo.Commit(t, "names").String()
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	first := lab.Mount(testfs.Spec{Origin: srv.URL, Cache: lab.Path("cache-1")})
	wantCommit(t, lab, first.Point, repo.Dir, old)
	second := lab.Mount(testfs.Spec{Origin: srv.URL, Cache: lab.Path("cache-2")})
	for _, dir := range []string{"+", "grüße", "100%", "it's"} {
		repo.Write(t, filepath.Join("names", dir, dir, "in"), "moved\n", 0o644)
		repo.Remove(t, filepath.Join("names", dir, "x"+dir))
	}
	repo.Write(t, "odd/q?", "moved\n", 0o644)
	repo.Commit(t, "moved")
	wantCommit(t, lab, second.Point, repo.Dir, old)
	if _, err := os.Stat(second.Path("names", "a&path=%2Fetc", "none?")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a name that is not there: %v", err)
	}
}
