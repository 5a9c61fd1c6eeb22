package actors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// onDisk is where a file of upper is.
func (r *rig) onDisk(path string) string { return filepath.Join(r.dir, "upper", path) }

// upperHas tells whether upper has the name, and whether as a whiteout.
func (r *rig) upperHas(path string) (there, whiteout bool) {
	var st unix.Stat_t
	if unix.Lstat(r.onDisk(path), &st) != nil {
		return false, false
	}
	return true, st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// wantSameAfterRemount checks that what shows is what the next mount shows: that the disk has all of it.
func (r *rig) wantSameAfterRemount() {
	r.t.Helper()
	seen := r.snapshot()
	r.remount()
	if now := r.snapshot(); now != seen && (r.rev == "" || plain(now) != plain(seen)) {
		r.t.Errorf("the next mount shows\n%s\ninstead of\n%s", now, seen)
	}
}

func TestCreate(t *testing.T) {
	for name, b := range births {
		for _, dir := range []string{"", "a/deep/", "b/"} {
			t.Run(name+" in "+dir, func(t *testing.T) {
				r := newRig(t)
				check(t, r.make(dir+"new", b))
				a, err := r.lookup(dir + "new")
				if err != nil || a.Mode != b.Mode || a.UID != b.UID || a.GID != b.GID || a.Rdev != b.Rdev || a.Nlink == 0 {
					t.Errorf("%+v, %v", a, err)
				}
				if there, _ := r.upperHas(dir + "new"); !there {
					t.Error("not in upper")
				}
				if b.Target != "" {
					if target, err := r.readlink(dir + "new"); err != nil || target != b.Target {
						t.Errorf("leads to %q, %v", target, err)
					}
				}
				wantErr(t, "again", r.make(dir+"new", b), unix.EEXIST)
				r.wantSameAfterRemount()
			})
		}
	}
}

func TestCreateErrors(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("n", 256)
	wantErr(t, "over a lower file", r.create("top.txt"), unix.EEXIST)
	wantErr(t, "over a lower directory", r.mkdir("a"), unix.EEXIST)
	wantErr(t, "a name that is too long", r.create(long), unix.ENAMETOOLONG)
	wantErr(t, "a link with a name that is too long", r.link("top.txt", long), unix.ENAMETOOLONG)
	wantErr(t, "a whiteout", r.make("w", upper.Birth{Mode: unix.S_IFCHR}), unix.EPERM)
	wantErr(t, "a link to a directory", r.link("a", "x"), unix.EPERM)
	wantErr(t, "a link over a file", r.link("top.txt", "run.sh"), unix.EEXIST)
	check(t, r.create(long[:255]))
	check(t, r.write("file", "x"))
	_, err := r.fs.Create(nobodyWaits, r.ino("file"), "x", births["file"])
	wantErr(t, "in a file", err, unix.ENOTDIR)
	if names, err := r.list(""); err != nil || len(names) != 10 {
		t.Errorf("%v, %v", names, err)
	}
}

func TestCreateInARemovedDirectory(t *testing.T) {
	r := newRig(t)
	check(t, r.mkdir("d"))
	ino := r.ino("d")
	check(t, r.rmdir("d"))
	_, err := r.fs.Create(nobodyWaits, ino, "x", births["file"])
	wantErr(t, "create", err, unix.ENOENT)
	_, err = r.fs.CreateTemp(nobodyWaits, ino, births["file"])
	wantErr(t, "create temp", err, unix.ENOENT)
	wantErr(t, "rename into it", r.fs.Rename(nobodyWaits, tree.RootIno, "top.txt", ino, "x", 0), unix.ENOENT)
}

// colliding returns names of one hash; package tree's tests explain how.
func colliding(n int) []string {
	const p1, p2 = 11400714785074694791, 14029467366897019727
	inverse, sum := uint64(p2), uint64(p1)
	for range 6 {
		inverse *= 2 - p2*inverse
	}
	sum += p2
	var names []string
	for i := 0; len(names) < n; i++ {
		name := []byte(strings.Repeat("c", 64))
		copy(name, fmt.Sprintf("%08d", i))
		block := binary.LittleEndian.Uint64(name)
		binary.LittleEndian.PutUint64(name[32:], -(bits.RotateLeft64(sum+block*p2, 31)*p1)*inverse)
		if !bytes.ContainsAny(name, "/\x00") {
			names = append(names, string(name))
		}
	}
	return names
}

func TestACrowdedDirectoryRefusesOneNameAndLosesNothing(t *testing.T) {
	r := newRig(t)
	names := colliding(17)
	for _, name := range names[:16] {
		check(t, r.write(name, name))
	}
	wantErr(t, "the 17th", r.create(names[16]), tree.ErrCrowded)
	wantErr(t, "the 17th as a link", r.link("top.txt", names[16]), tree.ErrCrowded)
	if there, _ := r.upperHas(names[16]); there {
		t.Error("left in upper")
	}
	check(t, r.unlink(names[3]))
	check(t, r.write(names[3], "again"))
	r.wantText(names[3], "again")
	r.wantText(names[4], names[4])
	r.forgetAll()
	r.orphansBecome(0)
}

// orphansBecome waits until this many files are in work/orphans: the upper layer's actor removes them by and by.
func (r *rig) orphansBecome(n int) {
	r.t.Helper()
	for deadline := time.Now().Add(hang / 2); ; time.Sleep(time.Millisecond) {
		entries, err := os.ReadDir(filepath.Join(r.dir, "upper.work", "orphans"))
		check(r.t, err)
		if len(entries) == n {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("work/orphans holds %d files, want %d", len(entries), n)
		}
	}
}

func TestCreateTemp(t *testing.T) {
	for _, dir := range []string{"", "a/deep"} {
		t.Run("in "+dir, func(t *testing.T) { createTempIn(t, dir) })
	}
}

func createTempIn(t *testing.T, dir string) {
	r := newRig(t)
	parent := r.ino(dir)
	a, err := r.took(r.fs.CreateTemp(nobodyWaits, parent, births["file"]))
	check(t, err)
	if a.Nlink != 0 || a.Mode != births["file"].Mode || a.UID != 3 || a.GID != 4 {
		t.Errorf("%+v", a)
	}
	if a.Mtime.Sec < commitTime.Unix() || a.Atime.Sec < commitTime.Unix() {
		t.Errorf("made at %v", a.Mtime)
	}
	if _, err := r.fs.Write(nobodyWaits, a.Ino, []byte("text"), 0, false); err != nil {
		t.Error(err)
	}
	named, err := r.took(r.fs.Link(nobodyWaits, a.Ino, parent, "named"))
	if err != nil || named.Nlink != 1 || named.Ino != a.Ino || named.Size != 4 {
		t.Errorf("linked: %+v, %v", named, err)
	}
	r.wantText(strings.TrimPrefix(dir+"/named", "/"), "text")
	gone, err := r.took(r.fs.CreateTemp(nobodyWaits, parent, births["file"]))
	check(t, err)
	r.forget(gone.Ino)
	r.wantSameAfterRemount()
}

func TestATemporaryFileBelongsToTheGroupOfASetGidDirectory(t *testing.T) {
	r := newRig(t)
	check(t, r.make("d", upper.Birth{Mode: unix.S_IFDIR | 0o2775, GID: 99}))
	a, err := r.took(r.fs.CreateTemp(nobodyWaits, r.ino("d"), births["file"]))
	if err != nil || a.GID != 99 {
		t.Errorf("group %d, %v", a.GID, err)
	}
}

func TestCreateOverWhatWasRemoved(t *testing.T) {
	for path, dir := range map[string]bool{"top.txt": false, "c": true, "a/one.txt": false, "b/deep": true} {
		for name, b := range births {
			t.Run(name+" over "+path, func(t *testing.T) {
				r := newRig(t)
				if dir {
					names, err := r.list(path)
					check(t, err)
					check(t, r.unlink(path+"/"+names[0]))
				}
				check(t, r.remove(path, dir))
				if _, whiteout := r.upperHas(path); !whiteout {
					t.Error("no whiteout")
				}
				old := tree.LowerIno(path)
				check(t, r.make(path, b))
				if a, err := r.lookup(path); err != nil || a.Mode != b.Mode || a.Ino == old {
					t.Errorf("%+v, %v", a, err)
				}
				if tree.IsDir(b.Mode) {
					if names, err := r.list(path); err != nil || len(names) > 0 {
						t.Errorf("a new directory lists %v, %v", names, err)
					}
					check(t, r.create(path+"/inner"))
				}
				r.wantSameAfterRemount()
				if !tree.IsDir(b.Mode) {
					check(t, r.unlink(path))
					if _, whiteout := r.upperHas(path); !whiteout {
						t.Error("the second removal left no whiteout")
					}
				}
			})
		}
	}
}

func TestManyCreateInOneDirectory(t *testing.T) {
	r := newRig(t)
	dir := r.ino("a/deep")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("f%d", i) // each name is wanted by two
				if g%2 == 0 {
					name += fmt.Sprint("x", g)
				}
				a, err := r.fs.Create(nobodyWaits, dir, name, births["file"])
				if err != nil {
					wantErr(t, name, err, unix.EEXIST)
					continue
				}
				if _, err := r.fs.Write(nobodyWaits, a.Ino, []byte(name), 0, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	names, err := r.list("a/deep")
	if err != nil || len(names) != 50+4*50+2 {
		t.Errorf("%d names, %v", len(names), err)
	}
	for _, name := range names {
		if name[0] == 'f' {
			r.wantText("a/deep/"+name, name)
		}
	}
	r.wantSameAfterRemount()
}
