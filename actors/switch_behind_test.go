package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
)

// addInA changes things in a directory and below it, and beside it.
func addInA(files map[string]file) {
	files["a/added.txt"] = file{object.ModeFile, "added\n"}
	files["a/one.txt"] = file{object.ModeFile, "one, second\n"}
	files["a/deep/x/y.txt"] = file{object.ModeFile, "Y\n"}
	files["top.txt"] = file{object.ModeFile, "top, second\n"}
}

// lose takes the directory a out of upper, beneath the mount, and find brings it back.
func (r *rig) lose(a uint64) {
	r.t.Helper()
	check(r.t, os.Rename(r.onDisk("a"), r.onDisk("away")))
	if f := r.fs.core.index.Find(a).TakeFile(); f != nil {
		f.Release()
	}
}

func (r *rig) find() { check(r.t, os.Rename(r.onDisk("away"), r.onDisk("a"))) }

// loseOn has a lost when the first message of a type comes to a region.
func loseOn(lost *atomic.Uint64, what string) option {
	return func(c *Config, r *rig) {
		c.probe = func(_ string, msg any) func() {
			if fmt.Sprintf("%T", msg) == what {
				if a := lost.Swap(0); a != 0 {
					r.lose(a)
				}
			}
			return nil
		}
	}
}

// wantSameInAMountOf compares with a mount of a commit over the same upper.
func (r *rig) wantSameInAMountOf(rev string) {
	r.t.Helper()
	got := r.snapshot()
	r.rev = rev
	r.remount()
	if want := r.snapshot(); plain(got) != plain(want) {
		r.t.Errorf("after the switch:\n%s\nafter a remount:\n%s", got, want)
	}
}

func TestASwitchThatCannotReadUpperChangesNothing(t *testing.T) {
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": addInA}))
	check(t, r.write("a/mine.txt", "mine"))
	old := r.snapshot()
	r.lose(r.ino("a"))
	_, err := r.mount.Switch(context.Background(), "second")
	if !errors.Is(err, layer.ErrLost) || errors.Is(err, ErrBehind) || !strings.Contains(err.Error(), "directory /a:") {
		t.Errorf("without upper's half of a directory: %v", err)
	}
	r.find()
	if now := r.snapshot(); now != old {
		t.Errorf("changed to:\n%s\nfrom:\n%s", now, old)
	}
	r.switchTo("second")
	r.wantText("a/added.txt", "added\n")
	r.wantText("a/mine.txt", "mine")
	r.wantSameInAMountOf("second")
}

func TestADirectoryLostInASwitchIsLeftBehind(t *testing.T) {
	var lost atomic.Uint64
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": addInA}), loseOn(&lost, "*actors.rebase"))
	check(t, r.write("a/mine.txt", "mine"))
	r.snapshot()
	a, one, below := r.ino("a"), r.ino("a/one.txt"), r.ino("a/deep/x")
	lost.Store(a)
	did, err := r.mount.Switch(context.Background(), "second")
	if !errors.Is(err, ErrBehind) || !errors.Is(err, layer.ErrLost) || !strings.Contains(err.Error(), ": /a: ") || did.To != r.mount.Commit() {
		t.Errorf("%+v: %v", did, err)
	}
	r.wantText("top.txt", "top, second\n")
	for range 2 {
		for _, name := range []string{"one.txt", "two.txt", "added.txt", "nothing"} {
			if _, err := r.fs.Lookup(nobodyWaits, a, name); !errors.Is(err, ErrBehind) {
				t.Errorf("%s in the directory: %v", name, err)
			}
		}
	}
	if p := make([]byte, 10); true {
		n, err := r.fs.Read(nobodyWaits, one, p, 0)
		if err != nil || string(p[:n]) != "one\n" {
			t.Errorf("a file that was open reads %q, %v", p[:n], err)
		}
	}
	if e, err := r.fs.Lookup(nobodyWaits, below, "y.txt"); err != nil || e.Size != 2 {
		t.Errorf("below, where somebody stands: %+v, %v", e, err)
	}
	if !r.bridge.last().wasTold(fmt.Sprint("entry ", a, " one.txt")) {
		t.Error("the kernel goes on with the names")
	}
	r.find()
	r.wantText("a/added.txt", "added\n")
	r.wantText("a/one.txt", "one, second\n")
	r.wantText("a/deep/x/y.txt", "Y\n")
	r.wantText("a/mine.txt", "mine")
	r.wantSameInAMountOf("second")
}

func TestSwitchesGoOnAfterADirectoryWasLeftBehind(t *testing.T) {
	var lost atomic.Uint64
	r := newRig(t, loseOn(&lost, "*actors.rebase"), withCommits(map[string]func(map[string]file){"second": addInA, "third": func(files map[string]file) {
		files["a/deep/x/y.txt"] = file{object.ModeFile, "Y\n"} // as the second
		files["a/third.txt"] = file{object.ModeFile, "third\n"}
	}}))
	check(t, r.write("a/mine.txt", "mine"))
	r.snapshot()
	lost.Store(r.ino("a"))
	if _, err := r.mount.Switch(context.Background(), "second"); !errors.Is(err, ErrBehind) {
		t.Errorf("the directory is lost: %v", err)
	}
	if _, err := r.mount.Switch(context.Background(), "third"); err == nil || errors.Is(err, ErrBehind) {
		t.Errorf("the directory is lost before the switch: %v", err)
	}
	if now, want := r.mount.Commit(), r.origin.commitNamed("second").ID; now != want {
		t.Errorf("shows %s, want %s", now, want)
	}
	r.find()
	r.switchTo("third")
	r.wantText("a/third.txt", "third\n")
	r.wantText("a/deep/x/y.txt", "Y\n")
	r.wantText("a/one.txt", "one\n")
	if r.exists("a/added.txt") {
		t.Error("a name of the second commit is there")
	}
	r.wantSameInAMountOf("third")
}

// TestASwitchMeetsAListingThatFails: the directory is being listed when it should be laid out, and the listing fails.
func TestASwitchMeetsAListingThatFails(t *testing.T) {
	parked := make(chan struct{}, 100)
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": addInA}), withProbe(func(_ string, msg any) func() {
		if m, ok := msg.(*retree); ok && m.Dir.Path() == "a/deep" {
			return func() { parked <- struct{}{} }
		}
		return nil
	}))
	deep := r.ino("a/deep")
	down, arrived, open := errors.New("down"), make(chan struct{}, 1), make(chan struct{})
	r.origin.meet(func(ctx context.Context, what string) error {
		if what != "tree a/deep" {
			return nil
		}
		arrived <- struct{}{}
		<-open
		return down
	})
	answers := make(chan error, 2)
	go func() {
		_, err := r.fs.Lookup(nobodyWaits, deep, "big.bin")
		answers <- err
	}()
	<-arrived
	switched := make(chan error)
	go func() {
		_, err := r.mount.Switch(context.Background(), "second")
		switched <- err
	}()
	<-parked
	close(open)
	if err := <-answers; !errors.Is(err, down) {
		t.Errorf("the listing: %v", err)
	}
	check(t, <-switched)
	r.origin.meet(nil)
	r.wantText("a/deep/x/y.txt", "Y\n")
}
