package main_test

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// linkedLower is a local lower directory in which one file has three names.
func linkedLower(t *testing.T, lab *testfs.Lab) string {
	t.Helper()
	dir := lab.Mkdir("lower")
	lab.Mkdir("lower", "d")
	check(t, os.WriteFile(dir+"/a", []byte("text"), 0o644))
	check(t, os.Link(dir+"/a", dir+"/b"))
	check(t, os.Link(dir+"/a", dir+"/d/c"))
	return dir
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantOneInode checks that the names are one file with that many links and this content, and returns its number.
func wantOneInode(t *testing.T, m *testfs.Mount, links uint64, content string, names ...string) (ino uint64) {
	t.Helper()
	for _, name := range names {
		var st unix.Stat_t
		check(t, unix.Lstat(m.Path(name), &st))
		if ino == 0 {
			ino = st.Ino
		}
		if st.Ino != ino || st.Nlink != links {
			t.Errorf("%s is inode %x with %d links, want %x with %d", name, st.Ino, st.Nlink, ino, links)
		}
		wantContent(t, m.Path(name), content)
	}
	return ino
}

// What is done to one name of a file that has several in a lower layer is done to all, at once and in the next mount.
func TestHardLinksOfALowerLayerStayOneFile(t *testing.T) {
	t.Parallel()
	changes := map[string]struct {
		change  func(m *testfs.Mount) error
		links   uint64
		content string
		names   []string
	}{
		"nothing":        {func(*testfs.Mount) error { return nil }, 3, "text", []string{"a", "b", "d/c"}},
		"written":        {func(m *testfs.Mount) error { return os.WriteFile(m.Path("b"), []byte("new"), 0o644) }, 3, "new", []string{"a", "b", "d/c"}},
		"truncated":      {func(m *testfs.Mount) error { return os.Truncate(m.Path("d/c"), 2) }, 3, "te", []string{"a", "b", "d/c"}},
		"a name removed": {func(m *testfs.Mount) error { return os.Remove(m.Path("a")) }, 2, "text", []string{"b", "d/c"}},
		"a name added":   {func(m *testfs.Mount) error { return os.Link(m.Path("b"), m.Path("d/new")) }, 4, "text", []string{"a", "b", "d/c", "d/new"}},
		"a name moved":   {func(m *testfs.Mount) error { return os.Rename(m.Path("d/c"), m.Path("moved")) }, 3, "text", []string{"a", "b", "moved"}},
		"a name replaced": {func(m *testfs.Mount) error {
			return firstOf(os.WriteFile(m.Path("x"), nil, 0o644), os.Rename(m.Path("x"), m.Path("a")))
		}, 2, "text", []string{"b", "d/c"}},
		"names exchanged": {func(m *testfs.Mount) error {
			return firstOf(os.WriteFile(m.Path("x"), nil, 0o644), unix.Renameat2(-1, m.Path("x"), -1, m.Path("d/c"), unix.RENAME_EXCHANGE))
		}, 3, "text", []string{"a", "b", "x"}},
		"the directory moved": {func(m *testfs.Mount) error { return os.Rename(m.Path("d"), m.Path("e")) }, 3, "text", []string{"a", "b", "e/c"}},
		"removed but one, then written": {func(m *testfs.Mount) error {
			return firstOf(os.Remove(m.Path("b")), os.Remove(m.Path("a")), os.WriteFile(m.Path("d/c"), []byte("last"), 0o644))
		}, 1, "last", []string{"d/c"}},
	}
	for name, c := range changes {
		for _, warm := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, known before %v", name, warm), func(t *testing.T) {
				t.Parallel()
				lab := suite.New(t)
				dir, upper := linkedLower(t, lab), lab.Path("upper")
				m := layered(lab, upper, "", dir)
				if warm {
					wantOneInode(t, m, 3, "text", "a", "b", "d/c")
				}
				check(t, c.change(m))
				ino := wantOneInode(t, m, c.links, c.content, c.names...)
				m.Unmount()
				again := layered(lab, upper, "", dir)
				if got := wantOneInode(t, again, c.links, c.content, c.names...); got != ino {
					t.Errorf("inode %x became %x with the next mount", ino, got)
				}
			})
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAFileThatLostAllItsNamesIsStillOpen(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	m := layered(lab, "", "", linkedLower(t, lab))
	f, err := os.OpenFile(m.Path("a"), os.O_RDWR, 0)
	check(t, err)
	check(t, firstOf(os.Remove(m.Path("a")), os.Remove(m.Path("b")), os.Remove(m.Path("d/c"))))
	var st unix.Stat_t
	check(t, unix.Fstat(int(f.Fd()), &st))
	if st.Nlink != 0 {
		t.Errorf("%d links", st.Nlink)
	}
	_, err = f.WriteAt([]byte("T"), 0)
	check(t, err)
	b := make([]byte, 4)
	if n, err := f.ReadAt(b, 0); err != nil || string(b[:n]) != "Text" {
		t.Errorf("%q, %v", b[:n], err)
	}
	check(t, f.Close())
}
