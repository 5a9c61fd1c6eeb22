package upper_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

func TestScan(t *testing.T) {
	f := newStore(t)
	want := make(map[string]upper.Found)
	i := 0
	for _, b := range births() {
		name := fmt.Sprintf("born%d", i)
		i++
		want[name] = upper.Found{Type: b.Mode & unix.S_IFMT, Ino: f.create(name, b).Ino()}
		st := f.stage(b)
		check(t, f.Commit(st, f.Root(), name+" copied"))
		want[name+" copied"] = upper.Found{Type: b.Mode & unix.S_IFMT, Ino: st.File.Ino(), Mark: mark}
		st.File.Release()
	}
	opaque := f.dir("opaque")
	check(t, f.MarkOpaque(opaque))
	want["opaque"] = upper.Found{Type: unix.S_IFDIR, Ino: opaque.Ino(), Opaque: true}
	check(t, f.Whiteout(f.Root(), "gone"))
	want["gone"] = upper.Found{Type: unix.S_IFCHR, Ino: f.stat("gone").Ino, Whiteout: true}
	found, err := f.Scan(f.Root())
	check(t, err)
	for _, got := range found {
		w := want[got.Name]
		w.Name = got.Name
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", w) {
			t.Errorf("%+v, want %+v", got, w)
		}
		delete(want, got.Name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
}

func TestScanOfManyNames(t *testing.T) {
	f := newStore(t)
	for i := range 2000 {
		check(t, os.WriteFile(f.path(fmt.Sprintf("a rather long name, number %d", i)), nil, 0o600))
	}
	for range 2 { // each from the start
		if found, err := f.Scan(f.Root()); err != nil || len(found) != 2000 {
			t.Errorf("%d names, %v", len(found), err)
		}
	}
	if _, err := f.Scan(f.write("file", "")); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("of a file: %v", err)
	}
}

// Whoever can write to upper, or changes it under a mount, may put a symbolic link where a directory was. No operation may
// follow it out of upper.
func TestNothingFollowsALink(t *testing.T) {
	f := newStore(t)
	outside := t.TempDir()
	check(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("text"), 0o644))
	check(t, os.Symlink(outside, f.path("dir")))
	check(t, os.Symlink(filepath.Join(outside, "secret"), f.path("file")))
	for _, typ := range []uint32{unix.S_IFREG, unix.S_IFDIR} {
		for _, name := range []string{"dir", "file"} {
			if got, err := f.OpenChild(f.Root(), name, typ); err == nil {
				got.Release()
				t.Errorf("%s opened as %o", name, typ)
			} else if !errors.Is(err, unix.ELOOP) && !errors.Is(err, unix.ENOTDIR) {
				t.Errorf("%s as %o: %v", name, typ, err)
			}
		}
	}
	link, err := f.OpenChild(f.Root(), "file", unix.S_IFLNK)
	check(t, err)
	defer link.Release()
	check(t, link.Chown(5, 5))
	check(t, link.Utimes(then, then))
	check(t, f.SetXattr(link, "trusted.test", []byte("v"), 0))
	st, err := f.StatChild(f.Root(), "dir")
	check(t, err)
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		t.Errorf("stat says %o", st.Mode)
	}
	var secret unix.Stat_t
	check(t, unix.Stat(filepath.Join(outside, "secret"), &secret))
	n, xerr := unix.Getxattr(filepath.Join(outside, "secret"), "trusted.test", nil)
	if secret.Uid != 0 || secret.Mtim == then || n > 0 || xerr == nil {
		t.Errorf("the link's target was changed: %+v", secret)
	}
	check(t, f.Orphan(f.Root(), "dir", ino, false))
	check(t, f.Reap(ino, unix.S_IFLNK))
	if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
		t.Errorf("removed by way of a link: %v", err)
	}
}
