package main_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// TestDirectoriesStayWithoutRedirects: mv copies what it cannot rename.
func TestDirectoriesStayWithoutRedirects(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Flags: []string{"--no-redirect"}})
	lab.Shell(m.Point, "mkdir new && mv new new2 && mv README.md new2/README && echo changed > dir/file")
	for _, pair := range [][2]string{{"dir", "moved"}, {"dir/a", "new2/a"}, {"odd", "odd2"}} {
		if err := os.Rename(m.Path(pair[0]), m.Path(pair[1])); !errors.Is(err, unix.EXDEV) {
			t.Errorf("rename %s: %v, want EXDEV", pair, err)
		}
	}
	if err := unix.Renameat2(unix.AT_FDCWD, m.Path("new2"), unix.AT_FDCWD, m.Path("dir"), unix.RENAME_EXCHANGE); err != unix.EXDEV {
		t.Errorf("exchange: %v, want EXDEV", err)
	}
	lab.Shell(m.Point, "mv dir moved && test ! -e dir -a -e moved/a/b/c/deep.txt && mv moved again")
	wantContent(t, m.Path("again/a/b/c/deep.txt"), "deep\n")
}
