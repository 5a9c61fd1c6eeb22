package actors

import (
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// movedCommits has commits that differ in directories that are renamed.
func movedCommits() option {
	return withCommits(map[string]func(map[string]file){
		"second": func(files map[string]file) {
			files["a/deep/x/y.txt"] = file{object.ModeFile, "second\n"}
			files["a/deep/new.txt"] = file{object.ModeFile, "new\n"}
			delete(files, "a/deep/big.bin")
		},
		"without": func(files map[string]file) {
			for _, name := range []string{"a/one.txt", "a/two.txt", "a/link", "a/deep/x/y.txt", "a/deep/big.bin"} {
				delete(files, name)
			}
		},
	})
}

// TestADirectoryMovesWhileTheMountIsSwitched: when the commit is published, it has no redirect yet; when the two parents are laid
// out, it stands in the new one already.
func TestADirectoryMovesWhileTheMountIsSwitched(t *testing.T) {
	for what, move := range map[string]func(*rig) error{
		"rename":   func(r *rig) error { return r.rename("a/deep", "b/moved", 0) },
		"exchange": func(r *rig) error { return r.rename("a/deep", "b/deep", unix.RENAME_EXCHANGE) },
	} {
		t.Run(what, func(t *testing.T) {
			var armed atomic.Pointer[rig]
			r := newRig(t, movedCommits(), withProbe(func(_ string, msg any) func() {
				if _, ok := msg.(*rebase); ok {
					if r := armed.Swap(nil); r != nil {
						check(t, move(r))
					}
				}
				return nil
			}))
			r.snapshot()
			armed.Store(r)
			r.switchTo("second")
			if armed.Load() != nil {
				t.Error("nothing was moved")
			}
			r.wantSameAfterRemount()
		})
	}
}

// TestADirectoryWithAnotherNumberIsSwitched: a directory was renamed, and its number is that of the origin's at its old name, by
// which the kernel knows that one.
func TestADirectoryWithAnotherNumberIsSwitched(t *testing.T) {
	r := newRig(t, movedCommits())
	check(t, firstError(r.rename("a", "z", 0), r.mkdir("a")))
	r.switchTo("without")
	check(t, r.rmdir("a")) // the commit has no such name to hide
	r.forgetAll()
	r.switchTo("")
	if r.ino("a") == r.ino("z") {
		t.Error("two directories have one number")
	}
	r.wantText("z/deep/x/y.txt", "y\n")
	r.switchTo("second")
	r.wantText("z/deep/x/y.txt", "second\n")
	r.wantText("a/deep/x/y.txt", "second\n")
	r.wantSameAfterRemount()
}

// TestATableThatIsReadAnewDuringASwitch: copy-up has cut off the nodes of the one before, and the new one has others.
func TestATableThatIsReadAnewDuringASwitch(t *testing.T) {
	var armed atomic.Bool
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": nextCommit}), withProbe(func(_ string, msg any) func() {
		if m, ok := msg.(*sever); ok && armed.CompareAndSwap(true, false) {
			dir := m.Laid.For.Dir
			var others []tree.Entry
			for e := range dir.Table().After(0) {
				if n := e.Node; !n.IsDir() {
					e.Node = tree.NewNode(n.Ino, n.Owner, n.Type, *n.Place(), *n.State())
				}
				others = append(others, e)
			}
			table, err := tree.NewTable(others)
			check(t, err)
			dir.SetTable(table)
		}
		return nil
	}))
	r.snapshot()
	r.forgetAll()
	armed.Store(true)
	r.switchTo("second")
	r.wantSameAfterRemount()
}

// Between two regions, the old parent's sees the new parent's table as it was when it began.
func TestARenameIntoADirectoryThatASwitchLaidOutMeanwhile(t *testing.T) {
	r := newRig(t)
	_, err := r.lookup("b/one.txt")
	check(t, err)
	dir := r.node("b")
	before := dir.Table()
	e, _ := before.Lookup("one.txt")
	e.Covers = false // what is told is out of date
	m := &rename{NewParent: dir, NewName: "one.txt"}
	m.open()
	dir.Owner.Tell(&adopt{Rename: m, Entry: e, Before: &tree.Table{}})
	check(t, m.wait(nobodyWaits))
	waitFor(t, "another layout", func() bool { e, ok := dir.Table().Lookup("one.txt"); return ok && e.Covers })
}
