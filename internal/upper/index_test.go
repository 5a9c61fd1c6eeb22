package upper_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// indexed puts a file with several names below into the index and at a name of upper.
func (f *fixture) indexed(ino uint64, name string, links uint32) {
	f.t.Helper()
	st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
	check(f.t, f.Index(st, ino, links))
	check(f.t, f.Commit(st, f.Root(), name))
	st.File.Release()
}

func TestTheIndexOutlivesTheMount(t *testing.T) {
	f := newStore(t)
	f.indexed(7, "a", 3)
	f.Store.Close()
	f.open()
	at, links, ok := f.Indexed(7)
	if !ok || links != 3 || at != f.stat("a").Ino {
		t.Errorf("inode %d, %d links, %v", at, links, ok)
	}
	if _, _, ok := f.Indexed(8); ok {
		t.Error("a number that was never put in")
	}
	check(t, f.LinkIndexed(7, f.Root(), "b"))
	if f.stat("b").Ino != at {
		t.Error("another file")
	}
	file, err := f.OpenIndexed(7, unix.S_IFREG)
	check(t, err)
	check(t, f.SetLinks(file, func() uint32 { return 2 }))
	file.Release()
	found, err := f.Scan(f.Root())
	check(t, err)
	for _, e := range found {
		if e.Links != 2 {
			t.Errorf("%s has %d links, want 2", e.Name, e.Links)
		}
	}
}

func TestTheLastNameTakesAFileOutOfTheIndex(t *testing.T) {
	f := newStore(t)
	f.indexed(7, "a", 2)
	check(t, f.OrphanIndexed(7))
	if _, err := f.OpenIndexed(7, unix.S_IFREG); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	file, err := f.OpenOrphan(7, unix.S_IFREG)
	check(t, err)
	file.Release()
	check(t, f.Reap(7, unix.S_IFREG))
}

// Whoever throws upper away and keeps the work directory must not see its files again.
func TestTheIndexBelongsToOneUpper(t *testing.T) {
	f := newStore(t)
	f.indexed(7, "a", 2)
	f.Store.Close()
	check(t, os.Rename(f.upper, f.upper+".old"))
	f.open()
	if _, _, ok := f.Indexed(7); ok {
		t.Error("another upper's file is in the index")
	}
}
