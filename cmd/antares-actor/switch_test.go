package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/control"
	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// twoCommits returns a repository with the branches one and two, which differ in each way that files can.
func twoCommits(t *testing.T) *origintest.Repo {
	t.Helper()
	repo := origintest.NewRepo(t)
	repo.Git(t, "checkout", "-q", "-b", "one")
	repo.Write(t, "d/changed", "first\n", 0o644)
	repo.Write(t, "d/same", "same\n", 0o644)
	repo.Write(t, "d/gone", "gone\n", 0o644)
	repo.Write(t, "dir/file", "file\n", 0o644)
	repo.Symlink(t, "d/link", "same")
	repo.Commit(t, "one")
	repo.Git(t, "checkout", "-q", "-b", "two")
	repo.Write(t, "d/changed", "second, and longer\n", 0o755)
	repo.Write(t, "d/come", "come\n", 0o644)
	repo.Remove(t, "d/gone")
	repo.Remove(t, "dir")
	repo.Remove(t, "d/link")
	repo.Symlink(t, "d/link", "changed")
	repo.Write(t, "dir", "a file\n", 0o644)
	repo.Commit(t, "two")
	repo.Git(t, "checkout", "-q", "one")
	return repo
}

func wantOne(t *testing.T, m *testfs.Mount) {
	t.Helper()
	wantContent(t, m.Path("d/changed"), "first\n")
	wantContent(t, m.Path("d/link"), "same\n")
	wantContent(t, m.Path("d/gone"), "gone\n")
	wantContent(t, m.Path("dir/file"), "file\n")
	wantAbsent(t, m.Path("d/come"))
	wantNames(t, m.Path("d"), "changed gone link same")
}

func wantTwo(t *testing.T, m *testfs.Mount) {
	t.Helper()
	wantContent(t, m.Path("d/changed"), "second, and longer\n")
	wantContent(t, m.Path("d/link"), "second, and longer\n")
	wantContent(t, m.Path("d/come"), "come\n")
	wantContent(t, m.Path("dir"), "a file\n")
	wantAbsent(t, m.Path("d/gone"))
	wantNames(t, m.Path("d"), "changed come link same")
}

func wantNames(t *testing.T, dir, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s lists %s, want %s", dir, got, want)
	}
}

func TestALiveMountIsSwitched(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir + "@one"})
	wantOne(t, m)
	same, err := os.Stat(m.Path("d/same"))
	check(t, err)
	held, err := os.Open(m.Path("d/gone"))
	check(t, err)
	changed, err := os.Open(m.Path("d/changed"))
	check(t, err)
	mapped, err := unix.Mmap(int(changed.Fd()), 0, 6, unix.PROT_READ, unix.MAP_PRIVATE)
	check(t, err)
	said := lab.Actor("switch", m.Point, "two").OK()
	if !strings.Contains(said, repo.ID(t, "two").String()) {
		t.Errorf("it says %q", said)
	}
	wantTwo(t, m)
	for _, f := range []*os.File{held, changed} {
		b := make([]byte, 100)
		n, err := f.ReadAt(b, 0)
		if want := map[*os.File]string{held: "gone\n", changed: "first\n"}[f]; string(b[:n]) != want {
			t.Errorf("the open file reads %q, %v, want %q", b[:n], err, want)
		}
		check(t, f.Close())
	}
	if string(mapped) != "first\n" {
		t.Errorf("the mapped file has %q", mapped)
	}
	check(t, unix.Munmap(mapped))
	now, err := os.Stat(m.Path("d/same"))
	if check(t, err); !os.SameFile(now, same) || !now.ModTime().Equal(same.ModTime()) {
		t.Error("a file that did not change has another number or time")
	}
	if newer, err := os.Stat(m.Path("d/changed")); err != nil || !newer.ModTime().After(same.ModTime()) || newer.Mode().Perm() != 0o755 {
		t.Errorf("a file that changed: %v, %v", newer, err)
	}
	m.KillEngine()
	lab.Actor("switch", m.Point, "two").OK() // by the next engine
	wantTwo(t, m)
	check(t, os.WriteFile(m.Path("d/changed"), []byte("mine\n"), 0))
	lab.Actor("switch", m.Point, "one").OK()
	wantContent(t, m.Path("d/changed"), "mine\n")
	check(t, os.Remove(m.Path("d/changed")))
	lab.Actor("switch", m.Point, "two").OK()
	wantAbsent(t, m.Path("d/changed"))
	if listed := lab.Actor("list").OK(); !strings.Contains(listed, repo.ID(t, "two").String()[:12]) {
		t.Errorf("list says %q", listed)
	}
	if r := lab.Actor("switch", m.Point, "nowhere"); r.Code != 2 || !strings.Contains(r.Stderr, "nowhere") {
		t.Errorf("an unknown revision: exit status %d, %q", r.Code, r.Stderr)
	}
	if r := lab.Actor("switch", "/", "one"); r.Code == 0 {
		t.Error("what is no mount was switched")
	}
}

// TestAReaderNeverSeesTwoCommitsInOneListing switches again and again between two commits whose directory has other names, while
// somebody lists it all the time. That takes several requests, and the switches do not wait for a listing in their midst; only
// no more of them come in one than it outlasts.
func TestAReaderNeverSeesTwoCommitsInOneListing(t *testing.T) {
	t.Parallel()
	const names = 400
	repo := origintest.NewRepo(t)
	for _, branch := range []string{"one", "two"} {
		repo.Git(t, "checkout", "-q", "-b", branch)
		repo.Remove(t, "d")
		for i := range names {
			repo.Write(t, fmt.Sprint("d/", branch, "-", i), branch, 0o644)
		}
		repo.Write(t, "d/both", branch, 0o644)
		repo.Commit(t, branch)
	}
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir + "@one"})
	stop, done := make(chan struct{}), make(chan int)
	begun := make(chan struct{}, 3) // switches since the listing began; one more may have begun before
	go func() {
		listings := 0
		defer func() { done <- listings }()
		for ; ; listings++ {
			select {
			case <-stop:
				return
			default:
			}
			for len(begun) > 0 {
				<-begun
			}
			entries, err := os.ReadDir(m.Path("d"))
			count := map[string]int{}
			for _, e := range entries {
				branch, _, _ := strings.Cut(e.Name(), "-")
				count[branch]++
			}
			if err != nil || count["both"] != 1 || count["one"]+count["two"] != names || count["one"] != 0 && count["two"] != 0 {
				t.Errorf("a listing of %v, %v", count, err)
			}
			if b, err := os.ReadFile(m.Path("d/both")); err != nil || string(b) != "one" && string(b) != "two" {
				t.Errorf("a file reads %q, %v", b, err)
			}
		}
	}()
	end := sync.OnceValue(func() int { close(stop); return <-done })
	t.Cleanup(func() { end() })
	c := controlOf(t, lab, m.Point)
	switches := 500
	if testfs.RaceEnabled {
		switches = 50 // to save time; all of them without the race detector
	}
	for i := range switches {
		branch := []string{"two", "one"}[i%2]
		begun <- struct{}{}
		_, err := c.Switch(t.Context(), branch)
		check(t, err)
		if b, err := os.ReadFile(m.Path("d/both")); err != nil || string(b) != branch {
			t.Fatalf("after the switch to %s the file reads %q, %v", branch, b, err)
		}
	}
	t.Logf("%d listings", end())
}

// TestAListingOfSeveralStepsIsOfOneCommit: as many switches come in its middle as it outlasts.
func TestAListingOfSeveralStepsIsOfOneCommit(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	names := make(map[string][]string)
	for _, branch := range []string{"one", "two"} {
		repo.Git(t, "checkout", "-q", "-b", branch)
		repo.Remove(t, "d")
		for i := range 400 {
			names[branch] = append(names[branch], fmt.Sprint(branch, "-", i))
			repo.Write(t, "d/"+names[branch][i], branch, 0o644)
		}
		repo.Commit(t, branch)
	}
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir + "@one"})
	c := controlOf(t, lab, m.Point)
	shown := 0
	for switches := range 5 {
		s, branches := openStream(t, m.Path("d")), []string{"one", "two"}
		began := branches[shown%2]
		got := s.read(512)
		for range switches {
			shown++
			_, err := c.Switch(t.Context(), branches[shown%2])
			check(t, err)
		}
		wantOnce(t, fmt.Sprint(switches, " switches"), append(got, s.rest(1000)...), names[began])
		s.close()
	}
}

// controlOf reaches a mount's server as other programs do, by what list says.
func controlOf(t *testing.T, lab *testfs.Lab, point string) *control.Client {
	t.Helper()
	var rows []struct{ Mountpoint, Control string }
	check(t, json.Unmarshal([]byte(lab.Actor("list", "--json").OK()), &rows))
	for _, r := range rows {
		if r.Mountpoint == point {
			return control.Dial(r.Control)
		}
	}
	t.Fatalf("list does not have %s", point)
	return nil
}

func TestAMountFollowsABranch(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	lab := suite.New(t)
	repo.Git(t, "branch", "moving", "one")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir + "@moving", Flags: []string{"--follow=50ms"}})
	wantOne(t, m)
	repo.Git(t, "branch", "-f", "moving", "two")
	wantSwitched(t, m, repo.ID(t, "two").String())
	if said := lab.Actor("status", m.Point).OK(); !strings.Contains(said, repo.ID(t, "two").String()) {
		t.Errorf("status says\n%s", said)
	}
	wantTwo(t, m)
}

// wantSwitched waits until a mount that follows shows a commit everywhere: status names it as soon as anything is shown of it,
// and the kernel forgets one name after the other.
func wantSwitched(t *testing.T, m *testfs.Mount, id string) {
	t.Helper()
	await(t, "the move", func() bool { return strings.Contains(m.Log(), "msg=switched to="+id) })
}

func TestAChangelistOfAServer(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	lab := suite.New(t)
	url := lab.Mono(repo.Dir, "--head", "one", "--cl", "ABC=two", "--cl", "SUB=two", "--cl-path", "SUB=d")
	m := lab.Mount(testfs.Spec{Origin: url, Flags: []string{"--cl", "ABC"}})
	wantNames(t, m.Path("d"), "changed come link same")
	wantContent(t, m.Path("dir"), "a file\n")
	status := lab.Actor("status", m.Point).OK()
	for _, want := range []string{"ABC", "modified", "d/changed", "deleted", "d/gone"} {
		if !strings.Contains(status, want) {
			t.Errorf("status has no %q:\n%s", want, status)
		}
	}
	lab.Actor("cl", m.Point, "--clear").OK()
	wantOne(t, m)
	if r := lab.Actor("cl", m.Point, "NONE"); r.Code != 2 || !strings.Contains(r.Stderr, "NONE") {
		t.Errorf("an unknown changelist: exit status %d, %q", r.Code, r.Stderr)
	}
	if r := lab.Actor("cl", m.Point, "SUB"); r.Code != 2 || !strings.Contains(r.Stderr, "--cl-path") {
		t.Errorf("a changelist of a directory, without it: exit status %d, %q", r.Code, r.Stderr)
	}
	wantOne(t, m)
	lab.Actor("cl", m.Point, "SUB", "--cl-path", "d").OK()
	wantNames(t, m.Path("d"), "changed come link same")
	killed := m.KillEngine()
	m.NextEngine(killed)
	wantNames(t, m.Path("d"), "changed come link same")
	wantContent(t, m.Path("dir/file"), "file\n")
	wantAbsent(t, filepath.Join(m.Upper, "d"))
}

// TestANewSubmoduleInAChangelist: the server says neither that it is one, nor anything but 404 for its commit.
func TestANewSubmoduleInAChangelist(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	for branch, path := range map[string]string{"named": "vendor/sub", "unnamed": "vendor/other"} {
		repo.Git(t, "checkout", "-q", "-b", branch, "one")
		repo.Write(t, ".gitmodules", "[submodule \"vendor/sub\"]\n\tpath = vendor/sub\n\turl = ../sub.git\n", 0o644)
		repo.Git(t, "add", ".gitmodules")
		repo.Git(t, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("5a", 20)+","+path)
		repo.Git(t, "commit", "-qm", branch)
	}
	lab := suite.New(t)
	url := lab.Mono(repo.Dir, "--head", "one", "--cl", "NAMED=one..named", "--cl", "UNNAMED=one..unnamed")
	m := lab.Mount(testfs.Spec{Origin: url, Flags: []string{"--cl", "NAMED"}})
	wantNames(t, m.Path("vendor/sub"), "")
	wantContent(t, m.Path("d/same"), "same\n")
	if r := lab.Actor("cl", m.Point, "UNNAMED"); r.Code != 2 || !strings.Contains(r.Stderr, "vendor/other") || !strings.Contains(r.Stderr, ".gitmodules") {
		t.Errorf("a submodule that nothing names: exit status %d, %q", r.Code, r.Stderr)
	}
	wantNames(t, m.Path("vendor/sub"), "")
	m.Unmount()
	m = lab.Mount(testfs.Spec{Origin: url, Flags: []string{"--offline", "--cl", "NAMED"}})
	wantNames(t, m.Path("vendor/sub"), "")
}

func TestMakeBuildsWhatASwitchChanged(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	repo.Write(t, "Makefile", "out: in\n\tcp in out\n", 0o644)
	repo.Write(t, "in", "first\n", 0o644)
	first := repo.Commit(t, "first")
	repo.Write(t, "in", "second\n", 0o644)
	repo.Commit(t, "second")
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	for _, rev := range []string{first.String(), "main", first.String()} { // back to an older commit as well
		lab.Run(testfs.Command{Dir: m.Point}, "make", "-s").OK()
		lab.Actor("switch", m.Point, rev).OK()
		lab.Run(testfs.Command{Dir: m.Point}, "make", "-s").OK()
		wantContent(t, m.Path("out"), read(t, m.Path("in")))
	}
	if said := lab.Run(testfs.Command{Dir: m.Point}, "make").OK(); !strings.Contains(said, "up to date") {
		t.Errorf("make builds again: %q", said)
	}
}
