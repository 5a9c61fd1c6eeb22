package main_test

import (
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// asOnPlain runs a script in a fresh mount of a repository and in a plain directory with the same files. Each must say the
// same and leave the same tree; so must the kernel's overlay file system show it over our upper, and another mount.
func asOnPlain(t *testing.T, lab *testfs.Lab, repo *origintest.Repo, script string) {
	t.Helper()
	look := testfs.Look{Before: old, Skip: []string{"."}}
	plain := lab.Checkout(repo.Dir, "HEAD")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	want, got := lab.Shell(plain, script), lab.Shell(m.Point, script)
	if got != want {
		t.Errorf("in the mount it says\n%s\nin a plain directory\n%s", got, want)
	}
	expected := testfs.Take(t, plain, look)
	testfs.Same(t, "mount", testfs.Take(t, m.Point, look), "plain directory", expected)
	m.Unmount()
	lab.KernelOverlay(lab.Checkout(repo.Dir, "HEAD"), m.Upper, func(point string) {
		testfs.Same(t, "overlayfs over upper", testfs.Take(t, point, look), "plain directory", expected)
	})
	again := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: m.Upper})
	testfs.Same(t, "mount after a remount", testfs.Take(t, again.Point, look), "plain directory", expected)
}

// eachAsOnPlain does so with each script, by name.
func eachAsOnPlain(t *testing.T, repo *origintest.Repo, scripts map[string]string) {
	t.Helper()
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asOnPlain(t, suite.New(t), repo, script)
		})
	}
}
