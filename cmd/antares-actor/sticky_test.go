package main_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// TestStickyDirectories: who may remove and rename in a directory that many may write to.
func TestStickyDirectories(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	plain, others := grounds(t, lab, origintest.NewRepo(t))
	for _, mode := range []uint32{0o1777, 0o777, 0o1775} {
		for _, dirOwner := range []int{0, 1001} {
			everywhere(t, plain, others, func(dir string, say func(string, ...any)) {
				shared := filepath.Join(dir, "dir")
				if err := unix.Chown(shared, dirOwner, team); err != nil {
					t.Fatal(err)
				}
				if err := unix.Chmod(shared, mode); err != nil {
					t.Fatal(err)
				}
				for _, u := range actingUsers {
					for _, r := range removals {
						err := meddle(shared, u.User, r.do)
						say("directory of %d, mode %o: %s by %s: %v", dirOwner, mode, r.name, u.name, err)
					}
				}
			})
		}
	}
}

// removals take the name "victim" away, which is owner's, or put "own", which is whose the caller is, over it.
var removals = []struct {
	name string
	do   func(dir string) error
}{
	{"unlink", func(dir string) error { return unix.Unlink(filepath.Join(dir, "victim")) }},
	{"rename", func(dir string) error {
		return unix.Rename(filepath.Join(dir, "victim"), filepath.Join(dir, "elsewhere"))
	}},
	{"cover", func(dir string) error { return unix.Rename(filepath.Join(dir, "own"), filepath.Join(dir, "victim")) }},
	{"exchange", func(dir string) error {
		return unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "own"), unix.AT_FDCWD, filepath.Join(dir, "victim"), unix.RENAME_EXCHANGE)
	}},
	{"rmdir", func(dir string) error { return unix.Rmdir(filepath.Join(dir, "victims")) }},
}

// meddle makes the files anew and calls do as the user.
func meddle(dir string, u testfs.User, do func(dir string) error) error {
	for _, f := range []struct {
		name string
		uid  uint32
	}{{"victim", owner}, {"own", u.UID}} {
		path := filepath.Join(dir, f.name)
		if err := prepare(path, 0o666, nil); err != nil {
			return err
		}
		if err := unix.Chown(path, int(f.uid), -1); err != nil {
			return err
		}
	}
	_ = unix.Unlink(filepath.Join(dir, "elsewhere"))
	if err := unix.Mkdir(filepath.Join(dir, "victims"), 0o777); err != nil && err != unix.EEXIST { // a bare errno
		return err
	}
	if err := unix.Chown(filepath.Join(dir, "victims"), owner, -1); err != nil {
		return err
	}
	return testfs.As(u, func() error { return do(dir) })
}
