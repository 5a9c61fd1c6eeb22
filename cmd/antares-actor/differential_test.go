package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

const (
	// seedEnv names one seed to run instead of the usual ones.
	seedEnv = "ANTARES_SEED"
	// parts is how often the mount is unmounted and mounted again, and steps the operations in between.
	parts = 2
	steps = 1500
)

// TestRandomOperationsDoWhatAPlainDirectoryDoes performs the same operations in a mount and in a plain directory with the same
// initial tree. Each must end the same, errno included, and leave the same tree; so must a kernel overlayfs over the same
// upper, and the mount when it is mounted again.
func TestRandomOperationsDoWhatAPlainDirectoryDoes(t *testing.T) {
	t.Parallel()
	seeds := []uint64{1, 2, 3, 4, 5, 6}
	if text := os.Getenv(seedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("%s=%d", seedEnv, seed), func(t *testing.T) {
			t.Parallel()
			differ(t, seed)
		})
	}
}

func differ(t *testing.T, seed uint64) {
	repo := importRepo(t, initialTree(seed))
	lab := suite.New(t)
	origin := "git:" + repo.Dir
	if seed%2 == 0 {
		origin = lab.Mono(repo.Dir)
	}
	plain := lab.Checkout(repo.Dir, "HEAD")
	look := testfs.Look{Before: old, Skip: []string{"."}}
	upper := lab.Path("upper")
	for part := range parts {
		m := lab.Mount(testfs.Spec{Origin: origin, Upper: upper})
		script := lab.Path(fmt.Sprint("script", part))
		want := lab.Role(filepath.Join(plain, "tree"), "improvise", fmt.Sprint(seed), fmt.Sprint(part), fmt.Sprint(steps), script)
		got := lab.Role(m.Path("tree"), "replay", script)
		sameSteps(t, got, want)
		expected := testfs.Take(t, plain, look)
		testfs.Same(t, "mount", testfs.Take(t, m.Point, look), "plain directory", expected)
		m.Unmount()
		lower := lab.Checkout(repo.Dir, "HEAD")
		lab.Actor("fsck", "--lower", "dir:"+lower, upper).OK()
		lab.KernelOverlay(lower, upper, func(point string) {
			testfs.Same(t, "overlayfs over upper", testfs.Take(t, point, look), "plain directory", expected)
		})
		again := lab.Mount(testfs.Spec{Origin: origin, Upper: upper})
		testfs.Same(t, "mount after a remount", testfs.Take(t, again.Point, look), "plain directory", expected)
		again.Unmount()
		if t.Failed() {
			return
		}
	}
}

// sameSteps compares what two performers printed, and shows how it came to the first difference.
func sameSteps(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	good := 0
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("operations differ:\nmount: %s\nplain: %s\nbefore that:\n%s", g[i], w[i], strings.Join(g[max(0, i-25):i], "\n"))
		}
		if strings.Contains(g[i], " = ok") {
			good++
		}
	}
	if len(g) != len(w) || good < len(g)/4 {
		t.Fatalf("%d and %d operations, %d of them succeeded", len(g), len(w), good)
	}
}

// importRepo makes a repository with one commit of these files: see initialTree for the values.
func importRepo(t *testing.T, files map[string]string) *origintest.Repo {
	t.Helper()
	repo := &origintest.Repo{Dir: filepath.Join(t.TempDir(), "repo")}
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.org> %d +0000\ndata 5\nfirst\n", origintest.CommitTime)
	for path, text := range files {
		mode := "100644"
		switch {
		case strings.HasPrefix(text, "->"):
			mode, text = "120000", text[2:]
		case strings.HasPrefix(text, "#!"):
			mode = "100755"
		}
		fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, path, len(text), text)
	}
	lab := suite.New(t)
	lab.Shell("", "git init -q -b main '"+repo.Dir+"'")
	lab.Run(testfs.Command{Dir: repo.Dir, Stdin: in.String()}, "git", "fast-import", "--quiet").OK()
	return repo
}
