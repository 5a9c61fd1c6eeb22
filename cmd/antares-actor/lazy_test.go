package main_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// bigRepo has 20,000 files in 400 directories, three levels down.
func bigRepo(t *testing.T) *origintest.Repo {
	t.Helper()
	files := map[string]string{"README.md": "big\n"}
	for i := range 20 {
		for j := range 20 {
			for k := range 50 {
				files[fmt.Sprintf("a%d/b%d/c/f%d", i, j, k)] = fmt.Sprintf("file %d of %d of %d\n", k, j, i)
			}
		}
	}
	return importRepo(t, files)
}

// kinds of requests, from their URLs.
func requestKinds(asked []string) map[string]int {
	kinds := make(map[string]int)
	for _, url := range asked {
		path, _, _ := strings.Cut(strings.TrimPrefix(url, "/api/v1/"), "?")
		if strings.HasPrefix(path, "file/blob/") {
			path = "file/blob"
		}
		kinds[path]++
	}
	return kinds
}

func TestMountingIsBoundedWorkWhateverTheRepositorysSize(t *testing.T) {
	t.Parallel()
	small := importRepo(t, map[string]string{"README.md": "small\n"})
	var counts []string
	for _, repo := range []*origintest.Repo{small, bigRepo(t)} {
		srv, lab := newServer(t, repo.Dir), suite.New(t)
		m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}})
		asked := srv.take()
		for _, url := range asked {
			if !strings.HasPrefix(url, "/api/v1/latest-commit?path=%2F") && url != "/api/v1/file/tree?path=%2F" {
				t.Errorf("mounting asked for %s, want the commit and the root only", url)
			}
		}
		counts = append(counts, fmt.Sprint(requestKinds(asked)))
		if got := m.Unmount(); got.OriginRequests != uint64(len(asked)) || got.Requests["INIT"] != 1 {
			t.Errorf("the program counts %d requests to the origin, the server %d: %v", got.OriginRequests, len(asked), asked)
		}
	}
	if counts[0] != counts[1] {
		t.Errorf("a large repository took %s to mount, a small one %s", counts[1], counts[0])
	}
}

func TestOnlyWhatIsLookedAtIsFetched(t *testing.T) {
	t.Parallel()
	repo := bigRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}})
	mounting := len(srv.take())
	steps := []struct {
		what, script string
		trees, blobs int // at most
	}{
		{"the first cat", "cat a7/b3/c/f11", 3 * 2, 1},
		{"the same cat again", "cat a7/b3/c/f11", 0, 0},
		{"another file beside it", "cat a7/b3/c/f12", 0, 1},
		{"a name that is not there", "! test -e a7/b3/c/nope", 0, 0},
		{"names in a known directory", "test $(ls -U a7/b3/c | wc -l) = 50", 0, 0},
		{"names in a new directory", "test $(ls -U a8 | wc -l) = 20", 2, 0},
		{"a new file where the origin has many", "echo x > a9/new", 2, 0},
		{"a directory of its own", "mkdir -p mine/and/mine && echo x > mine/and/mine/x && rm -r mine", 0, 0},
		{"overwriting a file", "echo x > a7/b3/c/f13", 0, 1},
	}
	for _, s := range steps {
		lab.Shell(m.Point, s.script)
		asked := srv.take()
		blobs := requestKinds(asked)["file/blob"]
		if blobs > s.blobs || len(asked)-blobs > s.trees {
			t.Errorf("%s: %d requests for directories and %d for contents, want at most %d and %d: %q",
				s.what, len(asked)-blobs, blobs, s.trees, s.blobs, asked)
		}
	}
	m.Unmount()
	again := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}, Upper: m.Upper})
	if got := len(srv.take()); got > mounting {
		t.Errorf("mounting again made %d requests, the first time %d", got, mounting)
	}
	lab.Shell(again.Point, "cat a7/b3/c/f11 a7/b3/c/f12 a9/new && ls -U a7/b3/c a8")
	if asked := srv.take(); len(asked) > 0 {
		t.Errorf("after a remount what was fetched before was fetched again: %q", asked)
	}
}

// TestManyReadersOfOneFileFetchItOnce: single flight, from the outside.
func TestManyReadersOfOneFileFetchItOnce(t *testing.T) {
	t.Parallel()
	repo := bigRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}})
	srv.take()
	lab.Shell(m.Point, "for i in $(seq 16); do cat a1/b2/c/f3 & pids=\"${pids-} $!\"; done; for p in $pids; do wait $p; done")
	asked := srv.take()
	slices.Sort(asked)
	if unique := slices.Compact(slices.Clone(asked)); len(unique) != len(asked) || requestKinds(asked)["file/blob"] != 1 {
		t.Errorf("16 readers asked for %q, want each thing once", asked)
	}
}

// TestNothingIsFetchedByBeingListed: list and stat of the mountpoint ask nobody.
func TestNothingIsFetchedByBeingListed(t *testing.T) {
	t.Parallel()
	repo := importRepo(t, map[string]string{"a/x": "x", "b/y": "y"})
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--prefetch", "off"}, Detach: true})
	srv.take()
	lab.Actor("list").OK()
	if _, err := os.Lstat(m.Point); err != nil {
		t.Error(err)
	}
	if asked := srv.take(); len(asked) > 0 {
		t.Errorf("listing the mounts fetched %q", asked)
	}
}

// TestTruncatingAFileFetchesNothing: what is cut off is not brought first, whoever cuts it.
func TestTruncatingAFileFetchesNothing(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 4 {
		files[fmt.Sprint("f", i)] = strings.Repeat(fmt.Sprint("line ", i, "\n"), 200_000)
	}
	repo := importRepo(t, files)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		looked := lab.Mount(testfs.Spec{Origin: origin, Cache: lab.Path("cache-a")})
		lab.Shell(looked.Point, "ls -l f0 f1 f2 f3")
		cut := lab.Mount(testfs.Spec{Origin: origin, Cache: lab.Path("cache-b")})
		lab.Shell(cut.Point, "echo x > f0; truncate -s 0 f1; cp f0 f2; dd if=f0 of=f3 status=none; rm f2; cat f0 f1 f3")
		if got, want := cut.Unmount().OriginBytes, looked.Unmount().OriginBytes; got > want {
			t.Errorf("truncating fetched %d bytes, looking at the files' sizes %d", got, want)
		}
	})
}
