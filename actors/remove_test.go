package actors

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestUnlink(t *testing.T) {
	for _, path := range []string{"top.txt", "link", "a/one.txt", "a/deep/x/y.txt", "mine", "a/mine"} {
		for _, copiedUp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s copied up %v", path, copiedUp), func(t *testing.T) {
				r := newRig(t)
				lower := r.exists(path)
				if !lower {
					check(t, r.write(path, "x"))
				} else if copiedUp {
					check(t, r.chmodOrTouch(path))
				}
				check(t, r.unlink(path))
				wantErr(t, "again", r.unlink(path), unix.ENOENT)
				if r.exists(path) {
					t.Error("it is still there")
				}
				if _, whiteout := r.upperHas(path); whiteout != lower {
					t.Errorf("whiteout %v, want %v", whiteout, lower)
				}
				r.wantSameAfterRemount()
			})
		}
	}
}

// chmodOrTouch copies a file of any type up.
func (r *rig) chmodOrTouch(path string) error {
	_, err := r.setattr(path, AttrChange{Mtime: &unix.Timespec{Sec: 5}})
	return err
}

func TestRemoveErrors(t *testing.T) {
	r := newRig(t)
	wantErr(t, "unlink of a directory", r.unlink("a"), unix.EISDIR)
	wantErr(t, "rmdir of a file", r.rmdir("top.txt"), unix.ENOTDIR)
	wantErr(t, "rmdir of a lower directory with files", r.rmdir("a"), unix.ENOTEMPTY)
	check(t, r.mkdir("d"))
	check(t, r.create("d/x"))
	wantErr(t, "rmdir of an upper directory with files", r.rmdir("d"), unix.ENOTEMPTY)
	wantErr(t, "a missing name", r.fs.Remove(nobodyWaits, tree.RootIno, "none", false), unix.ENOENT)
}

func TestRmdir(t *testing.T) {
	r := newRig(t)
	check(t, r.unlink("c/only.txt"))
	check(t, r.rmdir("c"))
	check(t, r.rmdir("sub"))
	check(t, r.mkdir("d"))
	check(t, r.create("d/x"))
	check(t, r.unlink("d/x"))
	check(t, r.rmdir("d"))
	for path, whiteout := range map[string]bool{"c": true, "sub": true, "d": false} {
		if _, w := r.upperHas(path); w != whiteout || r.exists(path) {
			t.Errorf("%s: whiteout %v, shows %v", path, w, r.exists(path))
		}
	}
	r.wantSameAfterRemount()
}

// A process may have the file open, of which the kernel does not tell: until it forgets the number, the file lives.
func TestARemovedFileLivesUntilItIsForgotten(t *testing.T) {
	for _, path := range []string{"top.txt", "a/deep/big.bin", "mine"} {
		t.Run(path, func(t *testing.T) {
			r := newRig(t)
			if path == "mine" {
				check(t, r.write(path, "text"))
			}
			want, err := r.read(path)
			check(t, err)
			ino := r.ino(path)
			check(t, r.unlink(path))
			check(t, r.write(path, "another"))
			p := make([]byte, len(want)+1)
			if n, err := r.fs.Read(nobodyWaits, ino, p, 0); err != nil || string(p[:n]) != want {
				t.Errorf("%d bytes, %v, want %d", n, err, len(want))
			}
			if a, err := r.fs.Getattr(nobodyWaits, ino); err != nil || a.Nlink != 0 || a.Ino != ino {
				t.Errorf("%+v, %v", a, err)
			}
			if n, err := r.fs.Write(nobodyWaits, ino, []byte("!"), 0, false); err != nil || n != 1 {
				t.Errorf("write: %d, %v", n, err)
			}
			if n, err := r.fs.Read(nobodyWaits, ino, p, 0); err != nil || string(p[:n]) != "!"+want[1:] {
				t.Errorf("after the write: %d bytes, %v", n, err)
			}
			r.wantText(path, "another")
			r.orphansBecome(1)
			r.forget(ino)
			r.orphansBecome(0)
			_, err = r.fs.Getattr(nobodyWaits, ino)
			wantErr(t, "after forget", err, ErrStale)
			r.wantText(path, "another")
		})
	}
}

func TestARemovedDirectoryLivesUntilItIsForgotten(t *testing.T) {
	r := newRig(t)
	check(t, r.unlink("c/only.txt")) // leaves a whiteout in it
	ino := r.ino("c")
	check(t, r.rmdir("c"))
	if a, err := r.fs.Getattr(nobodyWaits, ino); err != nil || a.Mode != unix.S_IFDIR|0o755 {
		t.Errorf("%+v, %v", a, err)
	}
	n := 0
	check(t, r.fs.Readdir(nobodyWaits, ino, Cursor{}, func(DirEntry) bool { n++; return true }))
	if n != 2 {
		t.Errorf("it lists %d names", n)
	}
	r.orphansBecome(1)
	r.forget(ino)
	r.orphansBecome(0)
}

func TestWhatTheKernelNeverKnewIsRemovedAtOnce(t *testing.T) {
	r := newRig(t)
	check(t, r.write("mine", "x"))
	r.forgetAll()
	check(t, r.fs.Remove(nobodyWaits, tree.RootIno, "mine", false))
	r.orphansBecome(0)
}

func TestHardLinks(t *testing.T) {
	r := newRig(t)
	check(t, r.write("x", "text"))
	check(t, r.link("x", "a/y"))
	check(t, r.link("x", "z"))
	check(t, r.link("top.txt", "top2")) // copies up
	for _, path := range []string{"x", "a/y", "z"} {
		if a, err := r.lookup(path); err != nil || a.Nlink != 3 || a.Ino != r.ino("x") {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	check(t, r.writeAt("a/y", "T", 0))
	r.wantText("z", "Text")
	check(t, r.unlink("x"))
	if a, err := r.lookup("z"); err != nil || a.Nlink != 2 {
		t.Errorf("%+v, %v", a, err)
	}
	check(t, r.unlink("z"))
	check(t, r.rename("a/y", "b/w", 0))
	if a, err := r.lookup("b/w"); err != nil || a.Nlink != 1 {
		t.Errorf("the last name: %+v, %v", a, err)
	}
	r.forgetAll()
	r.orphansBecome(0)
	r.wantText("b/w", "Text")
	check(t, r.writeAt("b/w", "!", 4))
	check(t, r.unlink("b/w"))
	r.wantText("top2", "top\n")
	r.wantSameAfterRemount()
}

// The name by which a file was opened goes; the kernel lets go of it; the other name must still lead to it, whatever is
// done by it next.
func TestAFileIsReachedByTheNameThatItStillHas(t *testing.T) {
	for what, then := range map[string]func(*rig) error{
		"read":   func(r *rig) error { r.wantText("b/y", "text"); return nil },
		"write":  func(r *rig) error { return r.writeAt("b/y", "more", 4) },
		"rename": func(r *rig) error { return r.rename("b/y", "b/z", 0) },
		"link":   func(r *rig) error { return r.link("b/y", "b/z") },
		"unlink": func(r *rig) error { return r.unlink("b/y") },
		"move":   func(r *rig) error { return r.rename("b/y", "a/deep/z", 0) },
	} {
		for _, forget := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, forgotten %v", what, forget), func(t *testing.T) {
				r := newRig(t)
				check(t, r.write("a/x", "text"))
				check(t, r.link("a/x", "b/y"))
				check(t, r.unlink("a/x"))
				if forget {
					r.forgetAll()
					r.orphansBecome(0)
				}
				check(t, then(r))
				r.forgetAll()
				r.orphansBecome(0)
				r.wantSameAfterRemount()
			})
		}
	}
}

// The kernel lets go of a file that lost the name by which it was opened, and learns it again by its other name, before the
// upper layer has come to remove the link of the first name: losing the second one is no rename of a link over itself.
func TestALinkThatIsStillToBeRemovedIsInNobodysWay(t *testing.T) {
	for what, then := range map[string]func(*rig) error{
		"unlink":  func(r *rig) error { return r.unlink("b/y") },
		"replace": func(r *rig) error { return r.rename("top.txt", "b/y", 0) },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			check(t, r.write("a/x", "text"))
			check(t, r.link("a/x", "b/y"))
			r.remount() // each name has a node of its own now
			ino := r.ino("a/x")
			check(t, r.unlink("a/x"))
			r.forgetAll()
			r.orphansBecome(0)
			left := fmt.Sprintf("%s/upper.work/orphans/%016x", r.dir, ino)
			check(t, os.Link(r.dir+"/upper/b/y", left))
			r.ino("b/y")
			check(t, then(r))
			r.forgetAll()
			r.orphansBecome(0)
			r.wantSameAfterRemount()
			if text, err := os.ReadFile(r.dir + "/upper/b/y"); string(text) == "text" {
				t.Errorf("upper still has the file: %v", err)
			}
		})
	}
}
