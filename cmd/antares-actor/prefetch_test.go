package main_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// TestPrefetchFetchesNothingTwice reads a cold tree as tar does, with and without prefetch: the requests are the same.
func TestPrefetchFetchesNothingTwice(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 40 {
		for j := range 10 {
			files[fmt.Sprintf("d%d/f%d", i, j)] = fmt.Sprintf("file %d of %d\n", j, i)
		}
	}
	repo := importRepo(t, files)
	for _, how := range []string{"off", "1MiB", "64MiB"} {
		srv, lab := newServer(t, repo.Dir), suite.New(t)
		m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", how, "--fetches", "16"}})
		srv.take()
		lab.Shell(m.Point, "tar cf /dev/null .")
		asked := srv.take()
		all := len(asked)
		slices.Sort(asked)
		kinds := requestKinds(slices.Compact(asked))
		if kinds["file/tree"] != 40 || kinds["file/blob"] != 400 || len(kinds) != 2 || all > 460 { // a slow answer is asked for again
			t.Errorf("--prefetch %s: %v, %d requests", how, kinds, all)
		}
		m.Unmount()
	}
}

func TestWarmFetchesAheadOfEverybody(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off", "--warm", "third-party/*/c", "--warm", "**/main.*"}})
	for !strings.Contains(m.Log(), "msg=warm") {
		lab.Shell(m.Point, "ls > /dev/null") // until it is done
	}
	srv.take()
	lab.Shell(m.Point, "cat third-party/buck-hello/c/hello.c third-party/buck-hello/main.rs > /dev/null")
	if asked := requestKinds(srv.take()); asked["file/blob"] != 0 {
		t.Errorf("what was warmed was asked for: %v", asked)
	}
	m.Unmount()
}

func TestTheVerbWarmReturnsWhenAllIsHere(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}})
	if said := lab.Actor("warm", m.Point, "third-party/buck-hello/c").OK(); !strings.HasPrefix(said, "2 files ") {
		t.Errorf("it says %q", said)
	}
	srv.take()
	lab.Shell(m.Point, "cat third-party/buck-hello/c/*")
	if asked := requestKinds(srv.take()); asked["file/blob"] != 0 {
		t.Errorf("what was warmed was asked for: %v", asked)
	}
	wantRefusal(t, lab, refusal{2, []string{"nothing/at/all"}}, "warm", m.Point, "nothing/at/all")
	m.Unmount()
}

func TestPrefetchFlagsAreChecked(t *testing.T) {
	lab := suite.New(t)
	for _, flags := range [][]string{{"--prefetch", "much"}, {"--prefetch", "-1"}, {"--fetches", "0"}} {
		wantRefusal(t, lab, refusal{2, flags}, append([]string{"mount", "--origin", "http://127.0.0.1:1"}, append(flags, lab.Mkdir("mnt"))...)...)
	}
}

func TestAProfileIsFetchedAtTheNextMountOfItsName(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	flags := []string{"--prefetch", "off", "--profile", "//hello:all"}
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: flags})
	const job = "cat third-party/buck-hello/c/hello.c third-party/buck-hello/main.rs README.md > /dev/null"
	lab.Shell(m.Point, job)
	m.Unmount()
	if err := os.RemoveAll(lab.Path("home", ".cache", "antares-actor", "objects")); err != nil {
		t.Fatal(err)
	}
	srv.take()
	m = lab.Mount(testfs.Spec{Origin: srv.URL, Flags: flags})
	var asked []string
	await(t, "what the job read is fetched, by nobody but the profile", func() bool {
		asked = append(asked, srv.take()...)
		return requestKinds(asked)["file/blob"] == 3
	})
	lab.Shell(m.Point, job)
	if more := requestKinds(srv.take()); more["file/blob"] != 0 {
		t.Errorf("asked for on demand: %v", more)
	}
	m.Unmount()
}
