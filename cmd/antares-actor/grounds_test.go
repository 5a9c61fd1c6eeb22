package main_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// ground is a directory with the repository's tree in it.
type ground struct{ name, dir string }

// grounds are where a test does the same things: in a plain directory, which is right, in a mount and in a kernel overlayfs,
// all on one file system.
func grounds(t *testing.T, lab *testfs.Lab, repo *origintest.Repo) (plain ground, others []ground) {
	t.Helper()
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	return ground{"plain directory", lab.Checkout(repo.Dir, "HEAD")},
		[]ground{{"mount", m.Point}, {"overlayfs", lab.Overlay(lab.Checkout(repo.Dir, "HEAD"))}}
}

// everywhere performs a script in each ground and checks that it says the same.
func everywhere(t *testing.T, plain ground, others []ground, script func(dir string, say func(format string, args ...any))) {
	t.Helper()
	perform := func(g ground) []string {
		var said []string
		script(g.dir, func(format string, args ...any) {
			said = append(said, strings.ReplaceAll(fmt.Sprintf(format, args...), g.dir, ""))
		})
		return said
	}
	want := perform(plain)
	for _, g := range others {
		sameLines(t, g.name, perform(g), plain.name, want)
	}
}

func sameLines(t *testing.T, gotName string, got []string, wantName string, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Fatalf("%s says %d lines, %s %d", gotName, len(got), wantName, len(want))
		}
		if got[i] != want[i] {
			t.Errorf("%s: %s\nwant as in the %s: %s", gotName, got[i], wantName, want[i])
		}
	}
}

// modeOf asks for nothing but the mode, so that the kernel answers from what it has if it believes that to be right.
func modeOf(path string) string {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MODE, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%o", st.Mode)
}
