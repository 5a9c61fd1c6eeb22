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

const ino = 0xabc // of the node that loses its name

func (f *fixture) orphans() []string { return names(f.t, filepath.Join(f.work, "orphans")) }

func TestOrphanKeepsTheFileUntilItIsReaped(t *testing.T) {
	for _, whiteout := range []bool{false, true} {
		for name, b := range births() {
			t.Run(fmt.Sprintf("%s, whiteout %v", name, whiteout), func(t *testing.T) {
				f := newStore(t)
				file := f.create("x", b)
				check(t, f.Orphan(f.Root(), "x", ino, whiteout))
				if f.whiteout("x") != whiteout || !whiteout && !f.absent("x") {
					t.Error("the name is wrong")
				}
				again, err := f.OpenOrphan(ino, b.Mode)
				check(t, err)
				if again.Ino() != file.Ino() {
					t.Error("another file")
				}
				again.Release()
				check(t, f.Reap(ino, b.Mode&unix.S_IFMT))
				if left := f.orphans(); len(left) > 0 {
					t.Errorf("orphans: %v", left)
				}
				check(t, f.Reap(ino, b.Mode&unix.S_IFMT)) // missing is fine
			})
		}
	}
}

func TestReapTakesADirectoryWithItsWhiteouts(t *testing.T) {
	f := newStore(t)
	dir := f.dir("dir")
	for i := range 300 {
		check(t, f.Whiteout(dir, fmt.Sprintf("gone%d", i)))
	}
	check(t, f.Orphan(f.Root(), "dir", ino, true))
	check(t, f.Reap(ino, unix.S_IFDIR))
	if left := f.orphans(); len(left) > 0 || !f.whiteout("dir") {
		t.Errorf("orphans: %v", left)
	}
}

func TestUnlink(t *testing.T) {
	for _, whiteout := range []bool{false, true} {
		f := newStore(t)
		file := f.write("a", "text")
		_, err := f.Link(file, f.Root(), "b")
		check(t, err)
		check(t, f.Unlink(f.Root(), "a", whiteout))
		if f.whiteout("a") != whiteout || f.read("b") != "text" || f.stat("b").Nlink != 1 {
			t.Errorf("whiteout %v: wrong", whiteout)
		}
		if err := f.Unlink(f.Root(), "none", whiteout); !errors.Is(err, unix.ENOENT) {
			t.Errorf("a missing name: %v", err)
		}
		if left := names(t, f.work+"/tmp"); len(left) > 0 {
			t.Errorf("work/tmp holds %v", left)
		}
	}
}

func TestKeepHoldsWhatARenameReplaces(t *testing.T) {
	f := newStore(t)
	f.write("new", "new")
	old := f.write("old", "old")
	check(t, f.Keep(f.Root(), "old", ino))
	check(t, f.Rename(upper.Move{From: f.Root(), To: f.Root(), OldName: "new", NewName: "old"}))
	if f.read("old") != "new" {
		t.Error("not replaced")
	}
	kept, err := f.OpenOrphan(ino, unix.S_IFREG)
	check(t, err)
	defer kept.Release()
	if kept.Ino() != old.Ino() {
		t.Error("another file is kept")
	}
}

// renameCase is a rename from "old" in from/ to "new" in to/.
type renameCase struct {
	dir      bool   // what moves
	target   string // what stands at the new name: "", "file", "whiteout", "empty", "whiteouts" (a directory of them), "full"
	whiteout bool   // leave one
	want     error
}

func renameCases() []renameCase {
	var all []renameCase
	for _, whiteout := range []bool{false, true} {
		for _, target := range []string{"", "file", "whiteout"} {
			all = append(all, renameCase{target: target, whiteout: whiteout})
		}
		for _, target := range []string{"", "whiteout", "empty", "whiteouts"} {
			all = append(all, renameCase{dir: true, target: target, whiteout: whiteout})
		}
		all = append(all, renameCase{target: "empty", whiteout: whiteout, want: unix.EISDIR},
			renameCase{dir: true, target: "file", whiteout: whiteout, want: unix.ENOTDIR})
	}
	return all
}

func TestRename(t *testing.T) {
	for _, tt := range renameCases() {
		t.Run(fmt.Sprintf("directory %v over %q leaving a whiteout %v", tt.dir, tt.target, tt.whiteout), func(t *testing.T) {
			f := newStore(t)
			from, to := f.dir("from"), f.dir("to")
			f.place(tt, from, to)
			m := upper.Move{
				From: from, To: to, OldName: "old", NewName: "new", Whiteout: tt.whiteout, Dir: tt.dir, Covered: tt.target == "whiteout",
			}
			if tt.dir && (tt.target == "empty" || tt.target == "whiteouts") {
				m.ReplacedDir, m.Replaced = true, ino
			}
			moved := f.stat("from/old").Ino
			err := f.Rename(m)
			if tt.want != nil {
				if !errors.Is(err, tt.want) || f.stat("from/old").Ino != moved {
					t.Errorf("%v, want %v and nothing moved", err, tt.want)
				}
				return
			}
			check(t, err)
			if f.stat("to/new").Ino != moved {
				t.Error("the new name is another file")
			}
			if f.whiteout("from/old") != tt.whiteout || !tt.whiteout && !f.absent("from/old") {
				t.Errorf("the old name: whiteout %v, absent %v", f.whiteout("from/old"), f.absent("from/old"))
			}
			if kept := len(f.orphans()); (kept == 1) != m.ReplacedDir {
				t.Errorf("%d orphans", kept)
			}
			if left := names(t, f.work+"/tmp"); len(left) > 0 {
				t.Errorf("work/tmp holds %v", left)
			}
		})
	}
}

func (f *fixture) place(tt renameCase, from, to *upper.File) {
	f.t.Helper()
	make := func(dir *upper.File, name string, mode uint32) {
		file, _, err := f.Create(dir, name, upper.Birth{Mode: mode})
		check(f.t, err)
		file.Release()
	}
	if make(from, "old", unix.S_IFREG|0o644); tt.dir {
		check(f.t, os.Remove(f.path("from/old")))
		make(from, "old", unix.S_IFDIR|0o755)
		make(from, "inner", unix.S_IFREG|0o644)
		check(f.t, os.Rename(f.path("from/inner"), f.path("from/old/inner")))
	}
	switch tt.target {
	case "file":
		make(to, "new", unix.S_IFREG|0o644)
	case "whiteout":
		check(f.t, f.Whiteout(to, "new"))
	case "empty":
		make(to, "new", unix.S_IFDIR|0o755)
	case "whiteouts":
		make(to, "new", unix.S_IFDIR|0o755)
		dir, err := f.OpenChild(to, "new", unix.S_IFDIR)
		check(f.t, err)
		defer dir.Release()
		check(f.t, f.Whiteout(dir, "gone"))
	}
}

func TestExchange(t *testing.T) {
	f := newStore(t)
	a, dir := f.write("a", "a"), f.dir("dir")
	b, _, err := f.Create(dir, "b", upper.Birth{Mode: unix.S_IFDIR | 0o755})
	check(t, err)
	defer b.Release()
	check(t, f.Exchange(f.Root(), "a", dir, "b"))
	if f.stat("a").Ino != b.Ino() || f.stat("dir/b").Ino != a.Ino() {
		t.Error("not exchanged")
	}
	if err := f.Exchange(f.Root(), "a", dir, "none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("with a missing name: %v", err)
	}
}
