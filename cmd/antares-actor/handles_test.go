package main_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// A file handle would have to lead back to its file for as long as that exists, also after the kernel has let go of it.
func TestFileHandlesAreRefused(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	m := suite.New(t).Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	for _, name := range []string{"foo.txt", "dir", "."} {
		if _, _, err := unix.NameToHandleAt(unix.AT_FDCWD, m.Path(name), 0); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("a handle of %s: %v, want EOPNOTSUPP", name, err)
		}
	}
}
