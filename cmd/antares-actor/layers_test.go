package main_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// layered mounts local lower directories, topmost first, and origin below them if it is not "".
func layered(lab *testfs.Lab, upper, origin string, lowers ...string) *testfs.Mount {
	var flags []string
	for _, dir := range lowers {
		flags = append(flags, "--lower", "dir:"+dir)
	}
	return lab.Mount(testfs.Spec{Origin: origin, Upper: upper, Flags: flags})
}

// TestRandomOperationsOverRotatedLayers performs random operations in a mount, makes what they left in upper the topmost lower
// layer of the next mount, and goes on: whiteouts, opaque directories and redirects then stand in lower layers. A plain
// directory with the same operations must look the same each time, and so must a kernel overlayfs over the same layers. There
// are no hard links among them: those of a lower layer stay together by the work directory, which is not part of a layer.
func TestRandomOperationsOverRotatedLayers(t *testing.T) {
	t.Parallel()
	for _, seed := range fewer([]uint64{21, 22, 23, 24}) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rotate(t, seed)
		})
	}
}

// fewer is a part of the seeds with the race detector, which makes them slow.
func fewer(seeds []uint64) []uint64 {
	if testfs.RaceEnabled {
		return seeds[:2]
	}
	return seeds
}

func rotate(t *testing.T, seed uint64) {
	const rounds, steps = 3, 500
	repo := importRepo(t, initialTree(seed, "tree"))
	lab := suite.New(t)
	plain, base := lab.Restricted(lab.Checkout(repo.Dir, "HEAD")), lab.Checkout(repo.Dir, "HEAD")
	origin, lowers := "", []string{base}
	if seed%2 == 0 {
		origin, lowers = "git:"+repo.Dir, nil
	}
	look := testfs.Look{Before: old, Skip: []string{"."}}
	for round := range rounds {
		upper, script := lab.Path(fmt.Sprint("upper", round)), lab.Path(fmt.Sprint("script", round))
		m := layered(lab, upper, origin, lowers...)
		want := lab.Role(plain+"/tree", "improvise", fmt.Sprint(seed), fmt.Sprint(round), fmt.Sprint(steps), script, "link,slotlink")
		sameSteps(t, lab.Role(m.Path("tree"), "replay", script), want)
		expected := testfs.Take(t, plain, look)
		testfs.Same(t, "mount", testfs.Take(t, m.Point, look), "plain directory", expected)
		m.Unmount()
		again := layered(lab, upper, origin, lowers...)
		testfs.Same(t, "mount after a remount", testfs.Take(t, again.Point, look), "plain directory", expected)
		again.Unmount()
		below := lowers
		if origin != "" {
			below = append(below[:len(below):len(below)], base)
		}
		lab.KernelOverlay(strings.Join(below, ":"), upper, func(point string) {
			testfs.Same(t, "overlayfs over the layers", testfs.Take(t, point, look), "plain directory", expected)
		})
		lowers = append([]string{upper}, lowers...)
		if t.Failed() {
			return
		}
	}
}

// TestRandomOperationsOverHardLinks performs random operations over a local lower directory that has hard links, pipes,
// devices and extended attributes, because random operations made it.
func TestRandomOperationsOverHardLinks(t *testing.T) {
	t.Parallel()
	for _, seed := range fewer([]uint64{31, 32, 33, 34}) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			repo := importRepo(t, initialTree(seed, "tree"))
			lab := suite.New(t)
			base := lab.Checkout(repo.Dir, "HEAD")
			lab.Role(base+"/tree", "improvise", fmt.Sprint(seed), "9", "1500", lab.Path("history"))
			lab.Shell("", "find '"+base+"' -type s -delete")                                                 // cp(1) does not copy sockets
			lab.Shell("", "find '"+base+"' -exec setfattr -h -x trusted.overlay.o {} + 2>/dev/null || true") // a mark, in a layer
			plain := lab.Path("plain")
			lab.Shell("", "cp -a '"+base+"' '"+plain+"'")
			lab.Restricted(plain)
			look := testfs.Look{Before: old, Skip: []string{"."}}
			upper := lab.Path("upper")
			for part := range 2 {
				m := layered(lab, upper, "", base)
				script := lab.Path(fmt.Sprint("script", part))
				want := lab.Role(plain+"/tree", "improvise", fmt.Sprint(seed), fmt.Sprint(part), "600", script)
				sameSteps(t, lab.Role(m.Path("tree"), "replay", script), want)
				expected := testfs.Take(t, plain, look)
				testfs.Same(t, "mount", testfs.Take(t, m.Point, look), "plain directory", expected)
				m.Unmount()
				again := layered(lab, upper, "", base)
				testfs.Same(t, "mount after a remount", testfs.Take(t, again.Point, look), "plain directory", expected)
				again.Unmount()
				if t.Failed() {
					return
				}
			}
		})
	}
}
