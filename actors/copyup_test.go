package actors

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestATruncationFetchesNothing(t *testing.T) {
	r := newRig(t)
	big := r.ino("a/deep/big.bin")
	asked := r.origin.count("")
	g := r.origin.holdUp("")
	defer close(g.open)
	var size int64
	a, err := r.fs.Setattr(nobodyWaits, big, AttrChange{Size: &size})
	if err != nil || a.Size != 0 || a.Mode != unix.S_IFREG|0o644 || a.Ino != big {
		t.Errorf("%+v, %v", a, err)
	}
	if n := r.origin.count(""); n != asked {
		t.Errorf("%d requests", n-asked)
	}
	if n, err := r.fs.Write(nobodyWaits, big, []byte("new"), 0, false); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestATruncationOfWhatNobodyHasStatted(t *testing.T) {
	r := newRig(t)
	_, err := r.list("a/deep")
	check(t, err)
	dir := r.fs.core.index.Find(r.ino("a/deep"))
	e, _ := dir.Table().Lookup("big.bin")
	r.fs.core.index.Remember(e.Node, 0) // as after readdirplus without attributes
	g := r.holdUp("blob")
	defer close(g.open)
	var size int64
	if a, err := r.fs.Setattr(nobodyWaits, e.Node.Ino, AttrChange{Size: &size}); err != nil || a.Size != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestSetattr(t *testing.T) {
	r := newRig(t)
	n := func(v uint32) *uint32 { return &v }
	size := func(v int64) *int64 { return &v }
	for _, path := range []string{"a/one.txt", "b", "link"} {
		before, err := r.lookup(path)
		check(t, err)
		at := unix.Timespec{Sec: 12, Nsec: 345}
		change := AttrChange{UID: n(5), GID: n(6), Atime: &at, Mtime: &at}
		if path != "link" {
			change.Mode = n(0o4751)
		}
		a, err := r.setattr(path, change)
		if err != nil || a.UID != 5 || a.GID != 6 || a.Atime != at || a.Mtime != at || a.Ino != before.Ino {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
		if path != "link" && a.Mode&0o7777 != 0o4751 {
			t.Errorf("%s: mode %o: a change of owner comes before one of mode", path, a.Mode)
		}
		if a, err = r.setattr(path, AttrChange{}); err != nil || a.UID != 5 || a.Mtime != at {
			t.Errorf("%s: nothing changed %+v, %v", path, a, err)
		}
	}
	a, err := r.setattr("a/two.txt", AttrChange{Size: size(2), Mtime: &unix.Timespec{Nsec: unix.UTIME_NOW}})
	if err != nil || a.Size != 2 || a.Mtime.Sec <= commitTime.Unix() {
		t.Errorf("%+v, %v", a, err)
	}
	r.wantText("a/two.txt", "tw")
	check(t, r.truncate("a/two.txt", 4))
	r.wantText("a/two.txt", "tw\x00\x00")
	check(t, r.chmod("a/two.txt", 0o6755))
	if a, err := r.setattr("a/two.txt", AttrChange{Size: size(1), DropSetID: true}); err != nil || a.Mode&0o7777 != 0o755 {
		t.Errorf("mode %o, %v", a.Mode, err)
	}
	_, err = r.setattr("b", AttrChange{Size: size(1)})
	if err == nil {
		t.Error("a directory was truncated")
	}
	r.wantSameAfterRemount()
}

func TestManyWritersMakeOneCopy(t *testing.T) {
	r := newRig(t)
	ino := r.ino("a/deep/big.bin")
	g := r.holdUp("blob")
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if n, err := r.fs.Write(nobodyWaits, ino, []byte("X"), int64(i), false); err != nil || n != 1 {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
	wg.Go(func() {
		mode := uint32(0o600)
		if a, err := r.fs.Setattr(nobodyWaits, ino, AttrChange{Mode: &mode}); err != nil || a.Mode&0o777 != 0o600 {
			t.Errorf("%+v, %v", a, err)
		}
	})
	<-g.arrived
	check(t, r.write("b/meanwhile", "x"))
	close(g.open)
	wg.Wait()
	if got, err := r.read("a/deep/big.bin"); err != nil || !strings.HasPrefix(got, "XXXXXXXXXXabcdef0123") || len(got) != 640_000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	r.wantSameAfterRemount()
}

// One process writes to a file for the first time while another removes it, renames it or renames another over it. Whichever
// comes first, both succeed, and no write lands under the name once it is gone.
func TestPromotionsRaceWithTheLossOfTheName(t *testing.T) {
	const rounds = 60
	files := make(map[string]file)
	for i := range rounds {
		files[fmt.Sprintf("a/f%d", i)] = file{0o100644, fmt.Sprintf("content %d", i)}
	}
	for what, lose := range map[string]func(r *rig, dir uint64, name string) error{
		"unlink": func(r *rig, dir uint64, name string) error { return r.fs.Remove(nobodyWaits, dir, name, false) },
		"rename": func(r *rig, dir uint64, name string) error {
			return r.fs.Rename(nobodyWaits, dir, name, tree.RootIno, name, 0)
		},
		"rename over": func(r *rig, dir uint64, name string) error {
			if _, err := r.fs.Create(nobodyWaits, dir, "new", births["file"]); err != nil {
				return err
			}
			return r.fs.Rename(nobodyWaits, dir, "new", dir, name, 0)
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, withFiles(files), onDisk)
			dir := r.ino("a")
			for i := range rounds {
				name := fmt.Sprintf("f%d", i)
				ino := r.ino("a/" + name)
				p := make([]byte, 40)
				var wg sync.WaitGroup
				wg.Go(func() {
					if n, err := r.fs.Write(nobodyWaits, ino, []byte("C"), 0, false); err != nil || n != 1 {
						t.Errorf("write: %d, %v", n, err)
					}
				})
				check(t, lose(r, dir, name))
				wg.Wait()
				if n, err := r.fs.Read(nobodyWaits, ino, p, 0); err != nil || string(p[:n]) != fmt.Sprintf("Content %d", i) {
					t.Errorf("the file has %q, %v", p[:n], err)
				}
				if got, err := r.read("a/" + name); what == "rename over" && (err != nil || got != "") {
					t.Errorf("the new file has %q, %v", got, err)
				} else if what != "rename over" && !errors.Is(err, unix.ENOENT) {
					t.Errorf("the name leads to %q, %v", got, err)
				}
				r.forgetAll()
			}
			r.orphansBecome(0)
			r.wantSameAfterRemount()
		})
	}
}

// The same, where the write comes at the one moment at which it is promoted without its name: the removal has cut the file
// off and is on its way back to the region.
func TestAPromotionBetweenDetachAndRemoval(t *testing.T) {
	for what, lose := range map[string]func(*rig) error{
		"unlink":                       func(r *rig) error { return r.unlink("a/one.txt") },
		"rename over":                  func(r *rig) error { return r.rename("a/two.txt", "a/one.txt", 0) },
		"rmdir":                        func(r *rig) error { return r.rmdir("sub") },
		"rename of a directory over":   func(r *rig) error { return r.rename("new", "sub", 0) },
		"rename of a lower dir over":   func(r *rig) error { return r.rename("b", "sub", 0) },
		"rename from another region":   func(r *rig) error { return r.rename("b/one.txt", "a/one.txt", 0) },
		"rename of a new file over it": func(r *rig) error { return r.rename("a/mine", "a/one.txt", 0) },
	} {
		t.Run(what, func(t *testing.T) {
			var armed atomic.Pointer[rig]
			r := newRig(t, withProbe(func(_ string, msg any) func() {
				if d, ok := msg.(*detach); ok {
					if r := armed.Swap(nil); r != nil {
						r.promoteBehind(d, func() {})
					}
				}
				return nil
			}))
			check(t, firstError(r.write("a/mine", "x"), r.mkdir("new")))
			r.wantText("a/one.txt", "one\n")
			armed.Store(r)
			check(t, lose(r))
			if armed.Load() != nil {
				t.Error("nothing was cut off")
			}
			r.forgetAll()
			r.orphansBecome(0)
			r.wantSameAfterRemount()
		})
	}
}

// promoteBehind has the node promoted between its detachment and the return of the message that asked for it, and calls then
// in between. It is called by the copy-up actor, before it handles the message.
func (r *rig) promoteBehind(d *detach, then func()) {
	m := &promoteNode{Node: d.Node, Keep: keepAll}
	m.open()
	r.fs.core.copyUp.Tell(&promote{Node: d.Node, Keep: keepAll, Msg: m})
	back := d.Back.Tell
	d.Back = &tree.Owner{ID: d.Back.ID, Tell: func(msg any) {
		go func() {
			<-m.done
			then()
			back(msg)
		}()
	}}
}

func TestARemovalWaitsForAPromotionInFlight(t *testing.T) {
	r := newRig(t)
	ino, dir := r.ino("a/deep/big.bin"), r.ino("a/deep")
	g := r.holdUp("blob")
	written, removed := make(chan error), make(chan error)
	go func() { _, err := r.fs.Write(nobodyWaits, ino, []byte("X"), 0, false); written <- err }()
	<-g.arrived
	go func() { removed <- r.fs.Remove(Caller{}, dir, "big.bin", false) }()
	check(t, r.write("a/deep/meanwhile", "x")) // the region is free
	close(g.open)
	check(t, <-written)
	check(t, <-removed)
	p := make([]byte, 3)
	if n, err := r.fs.Read(nobodyWaits, ino, p, 0); err != nil || string(p[:n]) != "X12" {
		t.Errorf("%q, %v", p[:n], err)
	}
	r.forgetAll()
	r.orphansBecome(0)
	r.wantSameAfterRemount()
}

func TestACopyUpThatFailsLeavesNothing(t *testing.T) {
	r := newRig(t)
	check(t, r.create("a/deep/other"))
	check(t, unix.Mknod(r.onDisk("a/deep/big.bin"), unix.S_IFIFO|0o600, 0)) // behind the mount's back
	wantErr(t, "write", r.writeAt("a/deep/big.bin", "X", 0), unix.EEXIST)
	if got, err := r.read("a/deep/big.bin"); err != nil || got[0] != '0' {
		t.Errorf("%v", err)
	}
	check(t, unix.Unlink(r.onDisk("a/deep/big.bin")))
	check(t, r.writeAt("a/deep/big.bin", "X", 0))
	r.wantSameAfterRemount()
}
