package actors

import (
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// movedCommits has commits that differ in directories that are renamed.
func movedCommits() option {
	return withCommits(map[string]func(map[string]file){
		"second": func(files map[string]file) {
			files["a/deep/x/y.txt"] = file{object.ModeFile, "second\n"}
			files["a/deep/new.txt"] = file{object.ModeFile, "new\n"}
			delete(files, "a/deep/big.bin")
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
