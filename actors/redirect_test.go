package actors

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// dirChanges are what is done to a lower directory before it is renamed.
var dirChanges = map[string]func(r *rig, dir string) error{
	"untouched":      func(*rig, string) error { return nil },
	"with a change":  func(r *rig, dir string) error { return firstError(r.write(dir+"/mine", "m"), r.unlink(dir+"/x/y.txt")) },
	"moved before":   func(r *rig, dir string) error { return firstError(r.rename(dir, "way", 0), r.rename("way", dir, 0)) },
	"under a moved":  func(r *rig, _ string) error { return r.rename("a", "away", 0) },
	"with a copy-up": func(r *rig, dir string) error { return r.writeAt(dir+"/x/y.txt", "Y", 0) },
}

// A lower directory moves by a redirect: all below it stays lazy, keeps its numbers, and shows the same in the next mount.
func TestRenameOfALowerDirectory(t *testing.T) {
	for before, change := range dirChanges {
		for _, to := range []string{"moved", "b/moved", "b/deep/moved", "c"} {
			t.Run(before+" to "+to, func(t *testing.T) {
				r := newRig(t)
				from := "a/deep"
				check(t, change(r, from))
				if before == "under a moved" {
					from = "away/deep"
				}
				if to == "c" { // over an emptied directory that the origin has
					check(t, r.unlink("c/only.txt"))
				}
				ino := r.ino(from)
				names, err := r.list(from)
				check(t, err)
				check(t, r.rename(from, to, 0))
				if r.exists(from) || r.ino(to) != ino {
					t.Error("not moved")
				}
				if got, err := r.list(to); err != nil || !slices.Equal(got, names) {
					t.Errorf("%v, %v, want %v", got, err, names)
				}
				r.wantSameAfterRemount()
				check(t, firstError(r.write(to+"/x/later", "l"), r.chmod(to+"/big.bin", 0o600), r.mkdir(from), r.write(from+"/new", "n")))
				if got, err := r.list(from); err != nil || !slices.Equal(got, []string{"new"}) {
					t.Errorf("a new directory at the old name lists %v, %v", got, err)
				}
				r.wantSameAfterRemount()
			})
		}
	}
}

func TestALowerDirectoryMovesWithoutBeingRead(t *testing.T) {
	r := newRig(t)
	r.ino("a/deep")
	asked := r.origin.count("")
	check(t, r.rename("a/deep", "moved", 0))
	if n := r.origin.count("") - asked; n > 1 { // the new name's absence may take a listing
		t.Errorf("%d requests", n)
	}
	r.wantText("moved/x/y.txt", "y\n")
	if r.ino("moved/x") != tree.LowerIno("a/deep/x") {
		t.Error("what is below has another number")
	}
}

func TestExchangeOfLowerDirectories(t *testing.T) {
	for _, pair := range [][2]string{{"a", "b"}, {"a/deep", "b/deep"}, {"a", "c"}, {"a/deep", "top.txt"}, {"sub", "a"}} {
		t.Run(pair[0]+" and "+pair[1], func(t *testing.T) {
			r := newRig(t)
			x, y := r.ino(pair[0]), r.ino(pair[1])
			check(t, r.rename(pair[0], pair[1], unix.RENAME_EXCHANGE))
			if r.ino(pair[0]) != y || r.ino(pair[1]) != x {
				t.Error("not exchanged")
			}
			r.wantSameAfterRemount()
			check(t, r.rename(pair[0], pair[1], unix.RENAME_EXCHANGE))
			r.wantSameAfterRemount()
			r.wantText("a/deep/x/y.txt", "y\n")
		})
	}
}

func TestARemovedDirectoryThatHadMovedLeavesNothing(t *testing.T) {
	r := newRig(t)
	check(t, r.rename("c", "a/c", 0))
	check(t, r.unlink("a/c/only.txt"))
	check(t, r.rmdir("a/c"))
	for path, want := range map[string]bool{"c": true, "a/c": false} {
		if _, whiteout := r.upperHas(path); whiteout != want || r.exists(path) {
			t.Errorf("%s: whiteout %v, want %v", path, whiteout, want)
		}
	}
	r.forgetAll()
	r.orphansBecome(0)
	r.wantSameAfterRemount()
}

// Kernel overlayfs redirects a directory that stays in its parent by a bare name, which means nothing in another parent.
func TestARelativeRedirectMovesToAnotherParent(t *testing.T) {
	r := newEngine(t)
	upper := filepath.Join(r.dir, "upper")
	check(t, os.MkdirAll(upper+"/a/renamed", 0o755))
	check(t, unix.Mknod(upper+"/a/deep", unix.S_IFCHR, 0))
	check(t, unix.Setxattr(upper+"/a/renamed", "trusted.overlay.redirect", []byte("deep"), 0))
	check(t, r.mountAgain())
	names, err := r.list("a/renamed")
	if check(t, err); !slices.Equal(names, []string{"big.bin", "x"}) {
		t.Fatalf("%v: the redirect is not followed", names)
	}
	check(t, r.rename("a/renamed", "b/moved", 0))
	r.wantSameAfterRemount()
	r.wantText("b/moved/x/y.txt", "y\n")
	check(t, r.rename("b/moved", "c", unix.RENAME_EXCHANGE))
	r.wantSameAfterRemount()
}
