package actors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// onSmallDisk has the rig's upper on a tmpfs of so many inodes. The cache is elsewhere: what it fetches ahead takes and gives
// back inodes at any time.
func onSmallDisk(inodes int) option {
	return func(_ *Config, r *rig) {
		r.dir, r.cacheDir = r.t.TempDir(), r.t.TempDir()
		check(r.t, unix.Mount("none", r.dir, "tmpfs", 0, fmt.Sprintf("nr_inodes=%d,size=64m", inodes)))
		r.t.Cleanup(func() { check(r.t, unix.Unmount(r.dir, 0)) })
	}
}

// fill takes all inodes but so many. empty gives them back.
func (r *rig) fill(left int) {
	r.t.Helper()
	check(r.t, os.MkdirAll(filepath.Join(r.dir, "filling"), 0o755))
	var n int
	for ; ; n++ {
		f, err := os.Create(filepath.Join(r.dir, "filling", fmt.Sprint(n)))
		if errors.Is(err, unix.ENOSPC) {
			break
		}
		check(r.t, err)
		check(r.t, f.Close())
	}
	for i := range left {
		check(r.t, os.Remove(filepath.Join(r.dir, "filling", fmt.Sprint(i))))
	}
}

func (r *rig) empty() {
	r.t.Helper()
	check(r.t, os.RemoveAll(filepath.Join(r.dir, "filling")))
}

// onFullDisk are changes that need inodes of upper: for copies, directories above them, and whiteouts.
var onFullDisk = map[string]func(r *rig) error{
	"write":                      func(r *rig) error { return r.writeAt("a/deep/x/y.txt", "Y", 0) },
	"truncate":                   func(r *rig) error { return r.truncate("a/deep/x/y.txt", 0) },
	"truncate to a part":         func(r *rig) error { return r.truncate("a/deep/big.bin", 5) },
	"chmod":                      func(r *rig) error { return r.chmod("a/deep/x/y.txt", 0o600) },
	"chmod of a directory":       func(r *rig) error { return r.chmod("a/deep/x", 0o700) },
	"create":                     func(r *rig) error { return r.create("a/deep/x/new") },
	"mkdir":                      func(r *rig) error { return r.mkdir("a/deep/x/new") },
	"symlink":                    func(r *rig) error { return r.symlink("y.txt", "a/deep/x/new") },
	"link":                       func(r *rig) error { return r.link("a/deep/x/y.txt", "a/deep/x/new") },
	"link elsewhere":             func(r *rig) error { return r.link("a/deep/x/y.txt", "b/deep/new") },
	"unlink":                     func(r *rig) error { return r.unlink("a/deep/x/y.txt") },
	"unlink of a link":           func(r *rig) error { return r.unlink("a/link") },
	"unlink of what was changed": func(r *rig) error { return r.unlink("b/one.txt") },
	"rmdir":                      func(r *rig) error { return r.rmdir("sub") },
	"rename":                     func(r *rig) error { return r.rename("a/deep/x/y.txt", "b/deep/new", 0) },
	"rename of a changed file":   func(r *rig) error { return r.rename("b/one.txt", "c/new", 0) },
	"rename over a file":         func(r *rig) error { return r.rename("a/one.txt", "b/deep/keep.txt", 0) },
	"rename over a changed file": func(r *rig) error { return r.rename("a/one.txt", "b/one.txt", 0) },
	"rename of a directory":      func(r *rig) error { return r.rename("a/deep", "b/new", 0) },
	"rename over a directory":    func(r *rig) error { return r.rename("a/deep", "sub", 0) },
	"rename over a changed one":  func(r *rig) error { return r.rename("a/deep", "c", 0) },
	"rename over a whiteout":     func(r *rig) error { return r.rename("a/deep", "empty", 0) },
	"exchange":                   func(r *rig) error { return r.rename("a/deep/x", "b/deep", unix.RENAME_EXCHANGE) },
	"create over a whiteout":     func(r *rig) error { return r.create("empty") },
	"mkdir over a whiteout":      func(r *rig) error { return r.mkdir("empty") },
	"setxattr": func(r *rig) error {
		return r.fs.SetXattr(nobodyWaits, r.ino("a/deep/x/y.txt"), "user.x", []byte("y"), 0, false)
	},
}

// TestChangesOnAFullDisk: with so many inodes left a change fails at its first step, with one more at the next, until it
// succeeds. Each failure leaves everything as it was, and the next try, with room, works.
func TestChangesOnAFullDisk(t *testing.T) {
	for what, change := range onFullDisk {
		left, failed := 0, true
		for ; failed && !t.Failed(); left++ {
			t.Run(fmt.Sprintf("%s, %d left", what, left), func(t *testing.T) { failed = changeOnFullDisk(t, change, left) })
		}
		if left == 1 {
			t.Errorf("%s needs no inode: the test tests nothing", what)
		}
	}
}

func changeOnFullDisk(t *testing.T, change func(*rig) error, left int) (failed bool) {
	r := newRig(t, onSmallDisk(400))
	check(t, firstError(r.writeAt("b/one.txt", "B", 0), r.mkdir("b/made"), r.unlink("c/only.txt"), r.unlink("empty")))
	before := r.snapshot()
	r.fill(left)
	if err := change(r); err != nil {
		failed = true
		wantErr(t, "the change", err, unix.ENOSPC)
		r.wantSnapshot(before)
		r.empty()
		r.wantSnapshot(before)
		if err := change(r); err != nil {
			t.Errorf("the next try: %v", err)
		}
	}
	r.empty()
	r.wantSameAfterRemount()
	return failed
}

func (r *rig) wantSnapshot(want string) {
	r.t.Helper()
	if got := r.snapshot(); got != want {
		r.t.Errorf("it became\n%s\nand was\n%s", got, want)
	}
}

// TestARemovalThatFailsAfterAPromotion: the file lost its name, was written to, and then the disk was too full for the
// whiteout. The file must have its name again, with what was written.
func TestARemovalThatFailsAfterAPromotion(t *testing.T) {
	for what, lose := range map[string]func(*rig) error{
		"unlink":                     func(r *rig) error { return r.unlink("a/one.txt") },
		"rename over":                func(r *rig) error { return r.rename("b/one.txt", "a/one.txt", 0) },
		"rename of a directory over": func(r *rig) error { return r.rename("b/deep", "sub", 0) },
	} {
		t.Run(what, func(t *testing.T) {
			var armed atomic.Pointer[rig]
			r := newRig(t, onSmallDisk(400), withProbe(func(_ string, msg any) func() {
				if d, ok := msg.(*detach); ok {
					if r := armed.Swap(nil); r != nil {
						r.promoteBehind(d, func() {
							if d.Node.Type == unix.S_IFREG {
								_, err := r.fs.Write(nobodyWaits, d.Node.Ino, []byte("X"), 0, false)
								check(t, err)
							}
							r.fill(0)
						})
					}
				}
				return nil
			}))
			check(t, firstError(r.create("a/mine"), r.writeAt("b/one.txt", "B", 0), r.chmod("b/deep", 0o700)))
			r.wantText("a/one.txt", "one\n")
			before := r.ino("a/one.txt")
			armed.Store(r)
			wantErr(t, what, lose(r), unix.ENOSPC)
			if armed.Load() != nil {
				t.Fatal("nothing was cut off")
			}
			r.empty()
			waitFor(t, "the return of the name", func() bool {
				a, err := r.lookup("a/one.txt")
				return err == nil && a.Nlink == 1 && a.Ino == before
			})
			if what != "rename of a directory over" {
				r.wantText("a/one.txt", "Xne\n")
			}
			r.forgetAll()
			r.orphansBecome(0)
			r.wantSameAfterRemount()
			check(t, lose(r))
			r.wantSameAfterRemount()
		})
	}
}

// TestANameThatCannotBeGivenBackAtOnce: something is in the way when the file is to have its name back. It is given back when
// its directory is listed again.
func TestANameThatCannotBeGivenBackAtOnce(t *testing.T) {
	var armed, blocked atomic.Pointer[rig]
	r := newRig(t, onSmallDisk(400), withProbe(func(_ string, msg any) func() {
		switch m := msg.(type) {
		case *detach:
			if r := armed.Swap(nil); r != nil {
				r.promoteBehind(m, func() {
					_, err := r.fs.Write(nobodyWaits, m.Node.Ino, []byte("X"), 0, false)
					check(t, err)
					r.fill(0)
				})
			}
		case *restore:
			if r := blocked.Swap(nil); r != nil {
				check(t, os.Rename(filepath.Join(r.dir, "obstacle"), r.onDisk("a/one.txt")))
			}
		}
		return nil
	}))
	check(t, firstError(r.create("a/mine"), os.WriteFile(filepath.Join(r.dir, "obstacle"), nil, 0o600)))
	r.wantText("a/one.txt", "one\n")
	armed.Store(r)
	blocked.Store(r)
	wantErr(t, "unlink", r.unlink("a/one.txt"), unix.ENOSPC)
	if armed.Load() != nil || blocked.Load() != nil {
		t.Fatal("nothing was cut off, or given back")
	}
	r.empty()
	check(t, os.Remove(r.onDisk("a/one.txt")))
	waitFor(t, "the return of the name", func() bool { a, err := r.lookup("a/one.txt"); return err == nil && a.Nlink == 1 })
	r.wantText("a/one.txt", "Xne\n")
	r.forgetAll()
	r.orphansBecome(0)
	r.wantSameAfterRemount()
}
