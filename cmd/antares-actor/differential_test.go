package main_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

const (
	// seedEnv names one seed to run instead of the usual ones, opsEnv how many operations to perform in all, by seeds that
	// begin with that one.
	seedEnv = "ANTARES_SEED"
	opsEnv  = "ANTARES_OPS"
	// usualSeeds is how many seeds run without these (raceSeeds with the race detector, which makes them slow), and steps how
	// many operations each is good for.
	usualSeeds = 6
	raceSeeds  = 2
	steps      = 2500
	crowd      = 4  // processes of an odd seed
	context    = 25 // operations to show before one that differs
)

// TestRandomOperationsDoWhatAPlainDirectoryDoes performs the same operations in a mount and in a plain directory with the same
// initial tree, and mounts again at random points. Each must end the same, errno included, and leave the same tree; so must a
// kernel overlayfs over the same upper, and the mount when it is mounted again. Odd seeds have four processes at work in
// subtrees of their own.
func TestRandomOperationsDoWhatAPlainDirectoryDoes(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, c *campaign) { c.againstPlain(t) })
}

// TestUppersGoBackAndForthBetweenUsAndTheKernel performs the same kind of operations on a kernel overlayfs and on a mount in
// turns, with one upper. Each must show what the other one left.
func TestUppersGoBackAndForthBetweenUsAndTheKernel(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, c *campaign) { c.inTurns(t) })
}

// TestUppersBecomeLowerLayers performs the first part in a mount, takes its upper for a lower layer, with all its whiteouts,
// redirects and hard links, and goes on over that one.
func TestUppersBecomeLowerLayers(t *testing.T) {
	t.Parallel()
	eachSeed(t, func(t *testing.T, c *campaign) { c.overLayers(t) })
}

func eachSeed(t *testing.T, test func(*testing.T, *campaign)) {
	t.Helper()
	first, n := uint64(1), usualSeeds
	if testfs.RaceEnabled {
		n = raceSeeds
	}
	if given := number(t, seedEnv); given != 0 {
		first, n = given, 1
	}
	if given := number(t, opsEnv); given != 0 {
		n = int((given + steps - 1) / steps)
	}
	for i := range n {
		seed := first + uint64(i)
		t.Run(fmt.Sprintf("%s=%d", seedEnv, seed), func(t *testing.T) {
			t.Parallel()
			test(t, newCampaign(t, seed))
		})
	}
}

func number(t *testing.T, env string) uint64 {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// campaign is what one seed does.
type campaign struct {
	seed  uint64
	tops  []string // a directory for each process
	parts []int    // operations of each process from one remount to the next
	repo  *origintest.Repo
	lab   *testfs.Lab
	plain string
	look  testfs.Look
}

func newCampaign(t *testing.T, seed uint64) *campaign {
	t.Helper()
	c := &campaign{seed: seed, tops: []string{"top/tree"}, lab: suite.New(t), look: testfs.Look{Before: old, Skip: []string{"."}}}
	if seed%2 == 1 {
		c.tops = nil
		for i := range crowd {
			c.tops = append(c.tops, fmt.Sprintf("top%d/tree", i))
		}
	}
	r := rand.New(rand.NewPCG(seed, 2))
	for left := steps / len(c.tops); left > 0; left -= c.parts[len(c.parts)-1] {
		c.parts = append(c.parts, min(left, steps/len(c.tops)/5+r.IntN(steps/len(c.tops)/2)))
	}
	files := make(map[string]string)
	for i, top := range c.tops {
		maps.Copy(files, initialTree(seed+uint64(i)<<32, top))
	}
	c.repo = importRepo(t, files)
	c.plain = c.lab.Restricted(c.lab.Checkout(c.repo.Dir, "HEAD"))
	return c
}

func (c *campaign) origin() string {
	if c.seed%4 < 2 {
		return c.lab.Mono(c.repo.Dir)
	}
	return "git:" + c.repo.Dir
}

// script is the file for a process's operations of a part.
func (c *campaign) script(part, process int) string {
	return c.lab.Path(fmt.Sprintf("script%d.%d", part, process))
}

// each runs one process in each of the subtrees below root, at once, and returns what they print.
func (c *campaign) each(t *testing.T, root, role string, args func(process int) []string) []string {
	t.Helper()
	said := make([]string, len(c.tops))
	var all sync.WaitGroup
	for i, top := range c.tops {
		all.Go(func() { said[i] = c.lab.Role(filepath.Join(root, top), role, args(i)...) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return said
}

// improvise performs a part in the plain directory and writes the scripts.
func (c *campaign) improvise(t *testing.T, part, number int) []string {
	return c.each(t, c.plain, "improvise", func(process int) []string {
		return []string{fmt.Sprint(c.seed), fmt.Sprint(part*crowd + process), fmt.Sprint(number), c.script(part, process)}
	})
}

// replay performs the scripts of a part below another root.
func (c *campaign) replay(t *testing.T, root string, part int) []string {
	return c.each(t, root, "replay", func(process int) []string { return []string{c.script(part, process)} })
}

func (c *campaign) againstPlain(t *testing.T) {
	origin, upper, checkout := c.origin(), c.lab.Path("upper"), c.lab.Checkout(c.repo.Dir, "HEAD")
	for part, number := range c.parts {
		want := c.improvise(t, part, number)
		m := c.lab.Mount(testfs.Spec{Origin: origin, Upper: upper})
		got := c.replay(t, m.Point, part)
		for i := range c.tops {
			sameSteps(t, got[i], want[i])
		}
		expected := testfs.Take(t, c.plain, c.look)
		testfs.Same(t, "mount", testfs.Take(t, m.Point, c.look), "plain directory", expected)
		m.Unmount()
		c.lab.Actor("fsck", "--lower", "dir:"+checkout, upper).OK()
		c.lab.KernelOverlay(checkout, upper, func(point string) {
			testfs.Same(t, "overlayfs over upper", testfs.Take(t, point, c.look), "plain directory", expected)
		})
		again := c.lab.Mount(testfs.Spec{Origin: origin, Upper: upper})
		testfs.Same(t, "mount after a remount", testfs.Take(t, again.Point, c.look), "plain directory", expected)
		again.Unmount()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d processes, mounted anew after %d operations of each: no difference", len(c.tops), c.parts)
}

func (c *campaign) inTurns(t *testing.T) {
	origin, upper, checkout := c.origin(), c.lab.Mkdir("upper"), c.lab.Checkout(c.repo.Dir, "HEAD")
	for part, number := range c.parts {
		c.improvise(t, part, number)
		if part%2 == 0 {
			var left testfs.Snapshot
			c.lab.WritableKernelOverlay(checkout, upper, func(point string) {
				c.replay(t, point, part)
				left = testfs.Take(t, point, c.look)
			})
			m := c.lab.Mount(testfs.Spec{Origin: origin, Upper: upper})
			testfs.Same(t, "mount", testfs.Take(t, m.Point, c.look), "overlayfs before", left)
			m.Unmount()
			c.lab.Actor("fsck", "--lower", "dir:"+checkout, upper).OK()
		} else {
			m := c.lab.Mount(testfs.Spec{Origin: origin, Upper: upper})
			c.replay(t, m.Point, part)
			left := testfs.Take(t, m.Point, c.look)
			m.Unmount()
			c.lab.Actor("fsck", "--lower", "dir:"+checkout, upper).OK()
			c.lab.KernelOverlay(checkout, upper, func(point string) {
				testfs.Same(t, "overlayfs", testfs.Take(t, point, c.look), "mount before", left)
			})
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d processes, in turns after %d operations of each: no difference", len(c.tops), c.parts)
}

func (c *campaign) overLayers(t *testing.T) {
	spec := testfs.Spec{Origin: c.origin(), Upper: c.lab.Path("lower")}
	for part, number := range c.parts {
		want := c.improvise(t, part, number)
		m := c.lab.Mount(spec)
		got := c.replay(t, m.Point, part)
		for i := range c.tops {
			sameSteps(t, got[i], want[i])
		}
		expected := testfs.Take(t, c.plain, c.look)
		testfs.Same(t, "mount", testfs.Take(t, m.Point, c.look), "plain directory", expected)
		m.Unmount()
		if part == 0 {
			spec = testfs.Spec{Origin: spec.Origin, Upper: c.lab.Path("upper"), Flags: []string{"--lower", "dir:" + spec.Upper}}
		}
		again := c.lab.Mount(spec)
		testfs.Same(t, "mount after a remount", testfs.Take(t, again.Point, c.look), "plain directory", expected)
		again.Unmount()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d processes, over an upper after %d operations of each: no difference", len(c.tops), c.parts)
}

// sameSteps compares what two performers printed, and shows how it came to the first difference.
func sameSteps(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	good := 0
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("operations differ:\nmount: %s\nplain: %s\nbefore that:\n%s", g[i], w[i], strings.Join(g[max(0, i-context):i], "\n"))
		}
		if strings.Contains(g[i], " = ok") {
			good++
		}
	}
	if len(g) != len(w) || len(g) > 200 && good < len(g)/4 {
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
