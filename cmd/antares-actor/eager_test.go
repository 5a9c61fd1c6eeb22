package main_test

import (
	"os"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func TestFilesAreCopiedUpWhenTheyAreOpenedIfAskedFor(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for eager, flags := range map[bool][]string{true: {"--copy-up-on-open"}, false: nil} {
		lab := suite.New(t)
		m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Flags: flags})
		for name, flag := range map[string]int{"README.md": os.O_RDONLY, "foo.txt": os.O_WRONLY, "no-newline": os.O_RDWR} {
			f, err := os.OpenFile(m.Path(name), flag, 0)
			check(t, err)
			_, err = os.Lstat(m.InUpper(name))
			if copied := err == nil; copied != (eager && flag != os.O_RDONLY) {
				t.Errorf("copy up on open %v: %s is in upper: %v", eager, name, copied)
			}
			check(t, f.Close())
		}
		lab.Shell(m.Point, "cat foo.txt >/dev/null; echo more >>foo.txt; echo new >new; : >empty; rm new; git status >/dev/null 2>&1 || true")
		wantContent(t, m.Path("foo.txt"), "2\nmore\n")
		m.Unmount()
	}
}
