package actors

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// renames moves each kind of thing over each kind of thing, within a directory and to another region.
func TestRename(t *testing.T) {
	sources := map[string]func(*rig, string) error{
		"a new file":          func(r *rig, p string) error { return r.write(p, "text") },
		"a new directory":     func(r *rig, p string) error { return firstError(r.mkdir(p), r.write(p+"/in", "text")) },
		"a new link":          func(r *rig, p string) error { return r.symlink("target", p) },
		"a lower file":        func(r *rig, p string) error { return nil },
		"a copied-up file":    func(r *rig, p string) error { return r.writeAt(p, "x", 0) },
		"a file over removed": func(r *rig, p string) error { return firstError(r.unlink(p), r.write(p, "new")) },
		"a dir over removed":  func(r *rig, p string) error { return firstError(r.unlink(p), r.mkdir(p), r.create(p+"/in")) },
	}
	targets := map[string]func(*rig, string) error{
		"nothing":               func(*rig, string) error { return nil },
		"a new file":            func(r *rig, p string) error { return r.write(p, "old") },
		"an empty directory":    func(r *rig, p string) error { return r.mkdir(p) },
		"a whiteout":            func(r *rig, p string) error { return r.unlink(p) },
		"a lower file":          func(r *rig, p string) error { return nil },
		"a copied-up file":      func(r *rig, p string) error { return r.writeAt(p, "o", 0) },
		"an emptied lower dir":  func(r *rig, p string) error { return r.unlink(p + "/only.txt") },
		"a removed lower dir":   func(r *rig, p string) error { return firstError(r.unlink(p+"/only.txt"), r.rmdir(p)) },
		"a lower dir, replaced": func(r *rig, p string) error { return firstError(r.unlink(p+"/only.txt"), r.rmdir(p), r.mkdir(p)) },
	}
	for from, makeSource := range sources {
		for to, makeTarget := range targets {
			t.Run(from+" over "+to, func(t *testing.T) { renameOne(t, from, to, makeSource, makeTarget) })
		}
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func renameOne(t *testing.T, from, to string, makeSource, makeTarget func(*rig, string) error) {
	source, target := "a/new", "b/new"
	if !strings.HasPrefix(from, "a new") {
		source = "a/one.txt"
	}
	switch {
	case strings.Contains(to, "dir") && strings.Contains(to, "lower"):
		target = "c"
	case !strings.Contains(to, "new") && to != "nothing" && to != "an empty directory":
		target = "b/one.txt"
	}
	r := newRig(t)
	check(t, makeSource(r, source))
	check(t, makeTarget(r, target))
	before, err := r.lookup(source)
	check(t, err)
	replaced, rerr := r.lookup(target)
	isDir, overDir := tree.IsDir(before.Mode), rerr == nil && tree.IsDir(replaced.Mode)
	err = r.rename(source, target, 0)
	switch {
	case isDir && rerr == nil && !overDir:
		wantErr(t, "a directory over a file", err, unix.ENOTDIR)
		return
	case !isDir && overDir:
		wantErr(t, "a file over a directory", err, unix.EISDIR)
		return
	}
	check(t, err)
	if after, err := r.lookup(target); err != nil || after.Ino != before.Ino || after.Mode != before.Mode {
		t.Errorf("%+v became %+v, %v", before, after, err)
	}
	if r.exists(source) {
		t.Error("the old name is still there")
	}
	if isDir {
		if names, err := r.list(target); err != nil || len(names) != 1 || names[0] != "in" {
			t.Errorf("the directory lists %v, %v", names, err)
		}
		check(t, r.write(target+"/later", "x"))
	}
	check(t, r.write(source, "back"))
	r.wantSameAfterRemount()
}

func TestRenameErrors(t *testing.T) {
	r := newRig(t)
	check(t, r.mkdir("d"))
	check(t, r.create("d/x"))
	check(t, r.mkdir("e"))
	const noReplace, exchange = unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE
	for what, tt := range map[string]struct {
		from, to string
		flags    uint32
		want     error
	}{
		"exchange with nothing":              {"d", "none", exchange, unix.ENOENT},
		"over a full directory":              {"e", "d", 0, unix.ENOTEMPTY},
		"over a full lower directory":        {"e", "a", 0, unix.ENOTEMPTY},
		"without replacing":                  {"top.txt", "run.sh", noReplace, unix.EEXIST},
		"both flags":                         {"top.txt", "run.sh", noReplace | exchange, unix.EINVAL},
		"a flag that nobody knows":           {"top.txt", "z", 1 << 10, unix.EINVAL},
		"a whiteout is the overlay's to set": {"top.txt", "z", unix.RENAME_WHITEOUT, unix.EINVAL},
		"to a name that is too long":         {"top.txt", strings.Repeat("n", 255) + "/../" + strings.Repeat("n", 256), 0, unix.ENOENT},
	} {
		wantErr(t, what, r.rename(tt.from, tt.to, tt.flags), tt.want)
	}
	wantErr(t, "a missing name", r.fs.Rename(nobodyWaits, 1, "none", 1, "z", 0), unix.ENOENT)
	wantErr(t, "a long name", r.fs.Rename(nobodyWaits, 1, "top.txt", 1, strings.Repeat("n", 256), 0), unix.ENAMETOOLONG)
	check(t, r.rename("top.txt", "z", noReplace))
	r.wantSameAfterRemount()
}

func TestRenameOfTwoNamesOfOneFileDoesNothing(t *testing.T) {
	r := newRig(t)
	check(t, r.write("x", "text"))
	check(t, r.link("x", "a/y"))
	check(t, r.rename("x", "a/y", 0))
	r.wantText("x", "text")
	r.wantText("a/y", "text")
}

func TestExchange(t *testing.T) {
	things := map[string]func(*rig, string) error{
		"a new file":       func(r *rig, p string) error { return r.write(p+"new", "text") },
		"a new directory":  func(r *rig, p string) error { return firstError(r.mkdir(p+"new"), r.write(p+"new/in", "text")) },
		"a lower file":     func(r *rig, p string) error { return nil },
		"a copied-up file": func(r *rig, p string) error { return r.writeAt(p+"one.txt", "x", 0) },
	}
	name := func(what string) string {
		if strings.Contains(what, "new") {
			return "new"
		}
		return "one.txt"
	}
	for one, makeOne := range things {
		for other, makeOther := range things {
			t.Run(one+" and "+other, func(t *testing.T) {
				r := newRig(t)
				check(t, firstError(makeOne(r, "a/"), makeOther(r, "b/")))
				x, y := "a/"+name(one), "b/"+name(other)
				inoX, inoY := r.ino(x), r.ino(y)
				check(t, r.rename(x, y, unix.RENAME_EXCHANGE))
				if r.ino(x) != inoY || r.ino(y) != inoX {
					t.Error("not exchanged")
				}
				r.wantSameAfterRemount()
				check(t, r.rename(x, y, unix.RENAME_EXCHANGE))
				r.wantSameAfterRemount()
			})
		}
	}
}

func TestADirectoryMovesWithAllBelowIt(t *testing.T) {
	r := newRig(t)
	check(t, firstError(r.mkdir("a/d"), r.mkdir("a/d/e"), r.write("a/d/e/f", "text")))
	deep := r.node("a/d/e/f")
	check(t, r.rename("a/d", "b/moved", 0))
	if deep.Path() != "b/moved/e/f" {
		t.Errorf("its path is %s", deep.Path())
	}
	r.wantText("b/moved/e/f", "text")
	r.forgetAll() // so that it is opened by its new path
	check(t, r.writeAt("b/moved/e/f", "more", 4))
	check(t, r.rename("b/moved/e/f", "top2", 0))
	r.wantText("top2", "textmore")
	r.wantSameAfterRemount()
}

func TestTheSplitRule(t *testing.T) {
	r := newRig(t)
	root, a, b := r.node("").Owner, r.node("a").Owner, r.node("b").Owner
	if root == a || a == b || root == b {
		t.Error("top-level directories share a region")
	}
	if r.node("a/deep").Owner != a || r.node("a/deep/x").Owner != a || r.node("a/one.txt").Owner != a {
		t.Error("what is below has another owner")
	}
	if r.node("top.txt").Owner != root {
		t.Error("the root's file has another owner")
	}
	if n := r.mount.Stats().Regions; n != 5 { // root, a, b, c, sub
		t.Errorf("%d regions", n)
	}
	check(t, firstError(r.mkdir("a/d"), r.write("a/d/f", "x")))
	owner := r.node("a/d").Owner
	check(t, r.rename("a/d", "b/d", 0))
	if r.node("b/d").Owner != owner {
		t.Error("a rename moved the ownership")
	}
	check(t, r.create("b/d/g")) // a directory of one region in a directory of another
	r.wantSameAfterRemount()
}

func TestALargeRegionStartsOthers(t *testing.T) {
	files := make(map[string]file)
	for i := range regionLimit + 200 {
		files[fmt.Sprintf("a/dirs/d%d/f", i)] = file{0o100644, "x"}
	}
	r := newRig(t, withFiles(files))
	owners := make(map[*tree.Owner]int)
	names, err := r.list("a/dirs")
	check(t, err)
	for _, name := range names {
		owners[r.node("a/dirs/"+name).Owner]++
	}
	if len(owners) < 2 {
		t.Errorf("%d directories have one owner", len(names))
	}
	check(t, r.write("a/dirs/d0/g", "x"))
	check(t, r.rename(fmt.Sprintf("a/dirs/d%d/f", regionLimit+150), "a/dirs/d0/h", 0))
	r.wantText("a/dirs/d0/h", "x")
}

// A file moves between two regions' directories and back, over and over, while others look. They must never find it in both
// (the old name goes before the new one comes), and when it is in neither the next look must be able to find it; that the
// kernel lets nobody look in between is a test of the whole mount's.
func TestReadersDuringRenamesBetweenRegions(t *testing.T) {
	r := newRig(t)
	check(t, r.write("a/file", "text"))
	a, b := r.ino("a"), r.ino("b")
	_, err := r.list("b")
	check(t, err)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { lookDuringRenames(t, r.fs, a, b, stop) })
	}
	for range 500 {
		check(t, r.fs.Rename(nobodyWaits, a, "file", b, "file", 0))
		check(t, r.fs.Rename(nobodyWaits, b, "file", a, "file", 0))
	}
	close(stop)
	wg.Wait()
	r.wantText("a/file", "text")
	r.wantSameAfterRemount()
}

// lookDuringRenames looks for the file in b, then a, then b: in a but in b before and after would be both at once, since a
// move to a and back takes the file out of b in between... unless b's table is the same one both times.
func lookDuringRenames(t *testing.T, fs *FS, a, b uint64, stop chan struct{}) {
	dirA, dirB := fs.core.index.Find(a), fs.core.index.Find(b)
	for {
		select {
		case <-stop:
			return
		default:
		}
		before := dirB.Table()
		_, inB := before.Lookup("file")
		_, inA := dirA.Table().Lookup("file")
		if inA && inB && dirB.Table() == before {
			t.Error("the file is in both directories")
			return
		}
		if attr, err := fs.Lookup(nobodyWaits, a, "file"); err == nil {
			p := make([]byte, 4)
			if n, err := fs.Read(nobodyWaits, attr.Ino, p, 0); err != nil || string(p[:n]) != "text" {
				t.Errorf("read while it moves: %q, %v", p[:n], err)
				return
			}
			fs.Forget(attr.Ino, 1)
		}
	}
}
