package actors

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// copyOf is what a journal's file has now: all that is left if its process dies.
func (r *rig) copyOf(journal *os.File) *os.File {
	r.t.Helper()
	st, err := journal.Stat()
	check(r.t, err)
	b := make([]byte, st.Size())
	_, err = journal.ReadAt(b, 0)
	check(r.t, err)
	f := r.memory("copy")
	_, err = f.WriteAt(b, 0)
	check(r.t, err)
	return f
}

// dyingAt keeps the journal as it is when the n-th message of a type comes to an actor, of those that come once the counter is
// set.
func dyingAt(what string, left *atomic.Int64, kept *atomic.Pointer[os.File]) option {
	return func(c *Config, r *rig) {
		c.probe = func(_ string, msg any) func() {
			if fmt.Sprintf("%T", msg) == what && left.Add(-1) == 0 {
				kept.Store(r.copyOf(r.session.Journal))
			}
			return nil
		}
	}
}

// TestOpenFilesKeepTheirBytesIfTheProcessDiesInASwitch: whatever of the switch was done by then, what the kernel knew before it
// shows what it showed, and the names lead to the new commit.
func TestOpenFilesKeepTheirBytesIfTheProcessDiesInASwitch(t *testing.T) {
	for _, at := range []struct {
		what string
		nth  int64
	}{
		{"*actors.rebase", 1}, {"*actors.relaid", 1}, {"*actors.severed", 1}, {"*actors.severed", 2}, {"*actors.severed", 3}, {"*actors.settled", 1},
	} {
		t.Run(fmt.Sprint(filepath.Ext(at.what), at.nth), func(t *testing.T) {
			var left atomic.Int64
			var kept atomic.Pointer[os.File]
			r := newRig(t, withSession, withCommits(map[string]func(map[string]file){"second": nextCommit}), dyingAt(at.what, &left, &kept))
			check(t, r.writeAt("b/one.txt", "B", 0)) // in upper
			r.snapshot()
			open := map[uint64]string{}
			for path, text := range map[string]string{
				"a/one.txt": "one\n", "a/two.txt": "two\n", "top.txt": "top\n", "run.sh": "#!/bin/sh\n", "c/only.txt": "only\n", "b/deep/keep.txt": "keep\n",
				"b/one.txt": "B one\n",
			} {
				open[r.ino(path)] = text
			}
			one := r.ino("a/one.txt")
			left.Store(at.nth)
			r.switchTo("second")
			journal := kept.Load()
			if journal == nil {
				t.Fatal("there was no such message")
			}
			r.takeOverFrom(journal)
			check := func() {
				for ino, want := range open {
					p := make([]byte, 50)
					n, err := r.fs.Read(nobodyWaits, ino, p, 0)
					if err != nil || string(p[:n]) != want {
						t.Errorf("%x reads %q, %v, want %q", ino, p[:n], err, want)
					}
				}
			}
			check()
			r.wantText("a/one.txt", "one, second\n")
			r.wantText("a/two.txt", "two\n")
			r.wantText("c", "a file by now\n")
			r.wantText("b/one.txt", "B one\n")
			check()
			if _, err := r.fs.Write(nobodyWaits, one, []byte("ONE"), 0, false); err != nil {
				t.Error(err)
			}
			r.wantText("a/one.txt", "one, second\n")
			if e, err := r.fs.Getattr(nobodyWaits, one); err != nil || e.Mode&unix.S_IFMT != unix.S_IFREG || e.Nlink != 0 {
				t.Errorf("the old file: %+v, %v", e, err)
			}
		})
	}
}

// TestASwitchTakesADirectoryThatOnlyTheKernelKnows: it was listed by the process before.
func TestASwitchTakesADirectoryThatOnlyTheKernelKnows(t *testing.T) {
	r := newRig(t, withSession, withCommits(map[string]func(map[string]file){"second": func(files map[string]file) {
		delete(files, "a/deep/x/y.txt")
		delete(files, "a/deep/big.bin")
		delete(files, "c/only.txt")
	}}))
	open := map[uint64]string{r.ino("a/deep/x/y.txt"): "y\n", r.ino("c/only.txt"): "only\n"}
	r.takeOver()
	r.switchTo("second")
	for ino, want := range open {
		p := make([]byte, 10)
		if n, err := r.fs.Read(nobodyWaits, ino, p, 0); err != nil || string(p[:n]) != want {
			t.Errorf("an open file reads %q, %v, want %q", p[:n], err, want)
		}
	}
	if r.exists("a/deep") || r.exists("c") {
		t.Error("what is gone is there")
	}
}
