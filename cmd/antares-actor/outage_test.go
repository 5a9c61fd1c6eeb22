package main_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/monoserver"
)

// TestEmptyListingsAreNoTruth: Mega says 200 and an empty list of what it cannot find at that moment.
func TestEmptyListingsAreNoTruth(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, EIO: true, Flags: []string{"--prefetch", "off"}})
	wantContent(t, m.Path("dir/b/same"), "same\n")
	for _, route := range []string{"/file/tree", "/tree/content-hash"} {
		srv.mono.Faults().Add(fault.Rule{Route: route, Fault: monoserver.Empty()})
	}
	if _, err := os.ReadDir(m.Path("third-party/buck-hello")); !errors.Is(err, unix.EIO) {
		t.Errorf("list: %v, want EIO", err)
	}
	if _, err := os.Lstat(m.Path("odd/50%")); !errors.Is(err, unix.EIO) {
		t.Errorf("stat: %v, want EIO", err)
	}
	wantContent(t, m.Path("dir/b/same"), "same\n")
	wantAbsent(t, m.Path("dir/b/nope"))
	repo.Git(t, "tag", "shown")
	repo.Write(t, "more", "more\n", 0o644)
	repo.Commit(t, "more")
	if r := lab.Actor("switch", m.Point); r.Code != 3 || !strings.Contains(r.Stderr, "empty root") {
		t.Errorf("exit status %d, %s, want 3 and that the root is empty", r.Code, r.Stderr)
	}
	wantContent(t, m.Path("dir/b/same"), "same\n")
	srv.mono.Faults().Clear()
	wantCommit(t, lab, m.Point, repo.Dir, "shown")
}

// TestFollowingOutlivesAnOutage: the root's directory changes, too, of which a server's own hash says nothing.
func TestFollowingOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	repo := twoCommits(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, EIO: true, Flags: []string{"--follow=20ms"}})
	wantOne(t, m)
	srv.mono.Faults().Add(fault.Rule{Route: "/latest-commit", Fault: fault.Page()})
	await(t, "it asks twice in vain", func() bool { return srv.mono.Faults().Rules()[0].Met > 2 })
	_, err := srv.mono.SetHead(t.Context(), "two")
	check(t, err)
	wantOne(t, m)
	srv.mono.Faults().Clear()
	wantSwitched(t, m, repo.ID(t, "two").String())
	wantTwo(t, m)
}

// TestNamesOfAWholeTree: one request a directory, and none for a file.
func TestNamesOfAWholeTree(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 80 {
		for j := range 25 {
			files[fmt.Sprintf("d%d/in/f%d", i, j)] = fmt.Sprint(i, j)
		}
	}
	srv, lab := newServer(t, importRepo(t, files).Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL})
	srv.take()
	if said := strings.TrimSpace(lab.Shell(m.Point, "ls -UR | wc -l")); said == "0" {
		t.Error("it lists nothing")
	}
	if traffic := srv.mono.Traffic(); traffic["/api/v1/file/blob/{oid}"].Requests != 0 || traffic["/api/v1/file/tree"].Peak > 64 {
		t.Errorf("listing names made %+v", traffic["/api/v1/file/blob/{oid}"])
	}
	asked := make(map[string]int)
	for _, url := range srv.take() {
		asked[url]++
	}
	if len(asked) != 80+80 {
		t.Errorf("%d different requests for 160 directories", len(asked))
	}
}

// TestWhatWasJustMadeIsThere: for others, at once, in bursts, under the names that the origin has and under new ones.
func TestWhatWasJustMadeIsThere(t *testing.T) {
	t.Parallel()
	const pairs, files = 6, 80
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		var group sync.WaitGroup
		for pair := range pairs {
			made := make(chan string)
			group.Go(func() {
				defer close(made)
				for i := range files {
					dir := m.Path("dir", "a", fmt.Sprint("out-", i%5)) // all make the same ones
					name := fmt.Sprintf("%s/%d-%d", dir, pair, i)
					err := os.MkdirAll(dir, 0o755)
					if err == nil {
						err = os.WriteFile(name+".tmp", []byte(name), 0o755)
					}
					if err == nil {
						err = os.Rename(name+".tmp", name)
					}
					if err != nil {
						t.Errorf("make: %v", err)
						return
					}
					made <- name
				}
			})
			group.Go(func() {
				for name := range made {
					if b, err := os.ReadFile(name); err != nil || string(b) != name {
						t.Errorf("%s reads %q, %v", name, b, err)
					}
					if err := unix.Access(name, unix.X_OK); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					if _, err := os.Lstat(name + ".tmp"); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("%s.tmp: %v", name, err)
					}
				}
			})
		}
		group.Wait()
		m.NextEngine(m.KillEngine())
		if said := strings.TrimSpace(lab.Shell(m.Path("dir/a"), "ls out-*/* | wc -l")); said != fmt.Sprint(pairs*files) {
			t.Errorf("%s files are there, want %d", said, pairs*files)
		}
	})
}

// TestAppendAfterReopen: to files of each layer, without the right to read them, in pieces that leave pages in part.
func TestAppendAfterReopen(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		want := map[string]string{"README.md": "# corpus\n", "empty": "", "born": ""}
		piece := strings.Repeat("0123456789", 150) + "\n"
		for i := range 8 {
			for name := range want {
				fd, err := unix.Open(m.Path(name), unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o200)
				check(t, err)
				if n, err := unix.Write(fd, []byte(piece)); n != len(piece) || err != nil {
					t.Errorf("%s, piece %d: %d bytes, %v", name, i, n, err)
				}
				if i%2 == 0 {
					check(t, unix.Fsync(fd))
				}
				check(t, unix.Close(fd))
				want[name] += piece
			}
			if i == 4 {
				m.NextEngine(m.KillEngine())
			}
		}
		for name, text := range want {
			wantContent(t, m.Path(name), text)
		}
		m.Unmount()
		for name, text := range want {
			wantContent(t, m.InUpper(name), text)
		}
	})
}
