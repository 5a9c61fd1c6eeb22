package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/remote"
)

// withCommits has the origin know further commits: each is what change makes of the corpus.
func withCommits(changes map[string]func(map[string]file)) option {
	return func(_ *Config, r *rig) {
		r.origin = newOrigin(corpus())
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			files := corpus()
			changes[name](files)
			r.origin.commitOf(name, files)
		}
	}
}

func (r *rig) switchTo(rev string) Switched {
	r.t.Helper()
	did, err := r.mount.Switch(context.Background(), rev)
	check(r.t, err)
	r.rev = rev
	return did
}

// nextCommit changes something of each kind.
func nextCommit(files map[string]file) {
	files["a/one.txt"] = file{object.ModeFile, "one, second\n"}
	files["run.sh"] = file{object.ModeFile, "#!/bin/sh\n"}           // mode only
	files["link"] = file{object.ModeSymlink, "a/two.txt"}            // target
	files["c"] = file{object.ModeFile, "a file by now\n"}            // directory to file
	files["top.txt/now"] = file{object.ModeFile, "a directory\n"}    // file to directory
	files["a/deep/new/z.txt"] = file{object.ModeFile, "new there\n"} // a new directory
	delete(files, "c/only.txt")
	delete(files, "top.txt")
	delete(files, "b/deep/keep.txt")
}

func TestSwitchShowsTheOtherCommit(t *testing.T) {
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	old := r.snapshot()
	did := r.switchTo("second")
	if want := r.origin.commits["second"].ID; did.To != want || r.mount.Commit() != want || did.From != r.origin.commit.ID {
		t.Errorf("%+v, shown %s", did, r.mount.Commit())
	}
	got := r.snapshot()
	r.remount()
	if want := r.snapshot(); plain(got) != plain(want) {
		t.Errorf("after the switch:\n%s\nafter a remount:\n%s", got, want)
	}
	r.switchTo("")
	if now := r.snapshot(); plain(now) != plain(old) {
		t.Errorf("after switching back:\n%s\nbefore:\n%s", now, old)
	}
}

// plain is a snapshot without what may differ between a switch and a mount: numbers and times.
func plain(snapshot string) string {
	return regexp.MustCompile(` (ino [0-9a-f]+|mtime \{\d+ \d+\})`).ReplaceAllString(snapshot, "")
}

func TestOpenFilesKeepTheirBytesOverASwitch(t *testing.T) {
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	one, big, keep, deep := r.ino("a/one.txt"), r.ino("a/deep/big.bin"), r.ino("b/deep/keep.txt"), r.ino("b/deep")
	two, _ := r.lookup("a/two.txt")
	r.switchTo("second")
	read := func(ino uint64) string {
		p := make([]byte, 100)
		n, err := r.fs.Read(nobodyWaits, ino, p, 0)
		check(t, err)
		return string(p[:n])
	}
	if got := read(one); got != "one\n" {
		t.Errorf("the open file reads %q", got)
	}
	if got := read(keep); got != "keep\n" {
		t.Errorf("a file of a directory that is gone reads %q", got)
	}
	r.wantText("a/one.txt", "one, second\n")
	if r.ino("a/one.txt") == one {
		t.Error("two contents under one number: the kernel would mix their pages")
	}
	if r.ino("a/deep/big.bin") != big {
		t.Error("a file that did not change got another number")
	}
	if now, _ := r.lookup("a/two.txt"); now.Mtime != two.Mtime {
		t.Errorf("a file that did not change has another time: %v, %v", now.Mtime, two.Mtime)
	}
	if now, _ := r.lookup("a/one.txt"); now.Mtime.Sec <= two.Mtime.Sec {
		t.Errorf("a file that changed does not look newer: %v", now.Mtime)
	}

	// What is written to the old file is the old file's.
	_, err := r.fs.Write(nobodyWaits, one, []byte("ONE"), 0, false)
	check(t, err)
	if got := read(one); got != "ONE\n" {
		t.Errorf("the open file reads %q after a write", got)
	}
	r.wantText("a/one.txt", "one, second\n")
	if _, err := r.fs.Lookup(nobodyWaits, deep, "keep.txt"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("lookup in a directory that is gone: %v", err)
	}
	if _, err := r.fs.Create(nobodyWaits, deep, "x", regular); !errors.Is(err, unix.ENOENT) {
		t.Errorf("create in a directory that is gone: %v", err)
	}
	if a, err := r.fs.Getattr(nobodyWaits, keep); err != nil || a.Nlink != 0 {
		t.Errorf("links of a file that is gone: %+v, %v", a, err)
	}
}

func TestASwitchTellsTheKernelWhatChanged(t *testing.T) {
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	r.snapshot()
	conn := r.bridge.last()
	conn.mu.Lock()
	conn.told = nil
	conn.mu.Unlock()
	r.switchTo("second")
	a, b := r.ino("a"), r.ino("b")
	for _, what := range []string{
		"entry 1 run.sh", "entry 1 link", "entry 1 c", "entry 1 top.txt", fmt.Sprint("entry ", a, " one.txt"),
		fmt.Sprint("entry ", r.ino("a/deep"), " new"), fmt.Sprint("entry ", b, " deep"), "inode 1", fmt.Sprint("inode ", a), fmt.Sprint("inode ", b),
	} {
		if !conn.wasTold(what) {
			t.Errorf("not told: %s", what)
		}
	}
	for _, what := range []string{fmt.Sprint("entry ", a, " two.txt"), "entry 1 a", fmt.Sprint("entry ", b, " one.txt")} {
		if conn.wasTold(what) {
			t.Errorf("told without need: %s", what)
		}
	}
}

func TestUpperStaysAboveOverASwitch(t *testing.T) {
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	check(t, r.writeAt("a/one.txt", "ONE", 0))
	check(t, r.unlink("run.sh"))
	check(t, r.write("b/deep/mine.txt", "mine"))
	check(t, r.rename("a/deep", "moved", 0))
	check(t, r.write("a/deep", "a file of mine"))
	r.switchTo("second")
	r.wantText("a/one.txt", "ONE\n")
	r.wantText("b/deep/mine.txt", "mine")
	r.wantText("a/deep", "a file of mine")
	r.wantText("moved/new/z.txt", "new there\n")
	if r.exists("run.sh") || r.exists("b/deep/keep.txt") {
		t.Error("what was deleted, here or in the commit, is back")
	}
	got := r.snapshot()
	r.remount()
	if want := r.snapshot(); plain(got) != plain(want) {
		t.Errorf("after the switch:\n%s\nafter a remount:\n%s", got, want)
	}
}

func TestASwitchThatFailsChangesNothing(t *testing.T) {
	r := newRig(t, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	old := r.snapshot()
	if _, err := r.mount.Switch(context.Background(), "nowhere"); !errors.Is(err, remote.ErrUnknownRev) {
		t.Errorf("an unknown revision: %v", err)
	}
	down := errors.New("down")
	r.origin.meet(func(_ context.Context, what string) error {
		if what == "tree a/deep" {
			return down
		}
		return nil
	})
	if _, err := r.mount.Switch(context.Background(), "second"); !errors.Is(err, down) || !errors.Is(err, ErrOrigin) {
		t.Errorf("with the origin down: %v", err)
	}
	if now := r.snapshot(); now != old {
		t.Errorf("changed to:\n%s\nfrom:\n%s", now, old)
	}
	r.origin.meet(nil)
	r.switchTo("second")
	r.wantText("a/one.txt", "one, second\n")
}

func TestASwitchAsksForWhatDiffersOnly(t *testing.T) {
	r := newRig(t, withCommits(map[string]func(map[string]file){
		"second": func(files map[string]file) { files["a/deep/x/y.txt"] = file{object.ModeFile, "Y\n"} },
	}))
	r.snapshot()
	before := r.origin.count("")
	did := r.switchTo("second")
	if asked := r.origin.count("") - before; asked != 1+4 { // the commit, and the trees of /, a, a/deep and a/deep/x
		t.Errorf("%d requests", asked)
	}
	if did.Names != 1 || did.Dirs != 4 {
		t.Errorf("%+v", did)
	}
}

func TestAListingNeverMixesTwoCommits(t *testing.T) {
	many := func(prefix string) func(map[string]file) {
		return func(files map[string]file) {
			for i := range 50 {
				files[fmt.Sprintf("many/%s%d", prefix, i)] = file{object.ModeFile, prefix}
			}
		}
	}
	r := newRig(t, withCommits(map[string]func(map[string]file){"v1": many("one"), "v2": many("two")}))
	for range 20 {
		r.switchTo("v1")
		dir := r.ino("many")
		var names []string
		at := Cursor{}
		for i := 0; ; i++ { // a few names a time, and a switch in between
			n := 0
			check(t, r.fs.Readdir(nobodyWaits, dir, at, func(e DirEntry) bool {
				if n++; n > 7 {
					return false
				}
				at = e.Next
				if e.Name != "." && e.Name != ".." {
					names = append(names, e.Name)
				}
				return true
			}))
			if n == 0 {
				break
			}
			if i == 2 {
				r.switchTo("v2")
			}
		}
		if len(names) != 50 || slices.ContainsFunc(names, func(s string) bool { return !strings.HasPrefix(s, "one") }) {
			t.Fatalf("%d names: %v", len(names), names)
		}
	}
}

// TestSwitchesAmongChanges has users change things between switches: what the mount shows afterwards must be what a fresh mount
// of the commit over the same upper shows.
func TestSwitchesAmongChanges(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			commits := make(map[string]func(map[string]file))
			for i := range 4 {
				commits[fmt.Sprint("c", i)] = func(files map[string]file) { vary(rng, files) }
			}
			r := newRig(t, withCommits(commits))
			for round := range 6 {
				for range 8 {
					disturb(r, rng)
				}
				if rng.IntN(2) == 0 {
					r.forgetAll()
				}
				r.switchTo(fmt.Sprint("c", rng.IntN(4)))
				got := r.snapshot()
				for range rng.IntN(3) {
					disturb(r, rng)
					got = r.snapshot()
				}
				if round%2 == 1 {
					r.remount()
					if want := r.snapshot(); plain(got) != plain(want) {
						t.Fatalf("round %d, after the switch to %s:\n%s\nafter a remount:\n%s", round, r.rev, got, want)
					}
				}
			}
		})
	}
}

// names are few, so that commits and users meet.
func somePath(rng *rand.Rand) string {
	names := []string{"a", "b", "c", "deep", "one.txt", "two.txt", "x"}
	path := names[rng.IntN(len(names))]
	for range rng.IntN(3) {
		path += "/" + names[rng.IntN(len(names))]
	}
	return path
}

// vary makes another commit of the files.
func vary(rng *rand.Rand, files map[string]file) {
	for range 10 {
		path := somePath(rng)
		for other := range files { // no file where a directory is, and the reverse
			if other == path || strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
				delete(files, other)
			}
		}
		if rng.IntN(4) > 0 {
			files[path] = file{[]object.Mode{object.ModeFile, object.ModeExec, object.ModeSymlink}[rng.IntN(3)], fmt.Sprint("text", rng.IntN(5))}
		}
	}
}

// disturb does something that a user could, if it can be done.
func disturb(r *rig, rng *rand.Rand) {
	path, to := somePath(rng), somePath(rng)
	switch rng.IntN(8) {
	case 0:
		_ = r.write(path, "mine")
	case 1:
		_ = r.writeAt(path, "MINE", 1)
	case 2:
		_ = r.unlink(path)
	case 3:
		_ = r.mkdir(path)
	case 4:
		_ = r.rmdir(path)
	case 5:
		_ = r.rename(path, to, 0)
	case 6:
		_ = r.rename(path, to, unix.RENAME_EXCHANGE)
	case 7:
		_ = r.link(path, to)
	}
}

func TestASwitchAfterATakeover(t *testing.T) {
	r := newRig(t, withSession, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	one, run := r.ino("a/one.txt"), r.ino("run.sh")
	r.ino("b/deep/keep.txt")
	r.switchTo("second")
	now := r.ino("a/one.txt")
	r.takeOver()
	if got := r.mount.Commit(); got != r.origin.commits["second"].ID {
		t.Errorf("shows %s", got)
	}
	for ino, want := range map[uint64]string{one: "one\n", now: "one, second\n", run: "#!/bin/sh\n"} {
		p := make([]byte, 50)
		n, err := r.fs.Read(nobodyWaits, ino, p, 0)
		if err != nil || string(p[:n]) != want {
			t.Errorf("reads %q, %v, want %q", p[:n], err, want)
		}
	}
	if r.ino("a/one.txt") != now {
		t.Error("another number after the takeover")
	}
	r.switchTo("") // what is dormant must be told to the kernel as well
	r.wantText("a/one.txt", "one\n")
	a := r.ino("a")
	if !r.bridge.last().wasTold(fmt.Sprint("entry ", a, " one.txt")) {
		t.Error("the kernel goes on with the name that it knew before the takeover")
	}
	got := r.snapshot()
	r.session = nil
	r.remount()
	if want := r.snapshot(); plain(got) != plain(want) {
		t.Errorf("after the switch:\n%s\nafter a remount:\n%s", got, want)
	}
}

func TestATakeoverInASwitchHasTheKernelForget(t *testing.T) {
	r := newRig(t, withSession, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	one := r.ino("a/one.txt")
	core := r.fs.core
	said := *core.pins.shown.Load()
	said.commit, said.tree = r.origin.commits["second"], r.origin.commits["second"].Tree
	said.switched, said.moving = true, true
	check(t, notePinned(core.journal, &said, core.upper.Store.Format(), func(*tree.Batch) {}))
	r.takeOver()
	done := make(chan struct{})
	r.fs.core.notifier.Tell(&told{then: func() { close(done) }})
	<-done
	for _, what := range []string{fmt.Sprint("inode ", one), fmt.Sprint("entry ", r.ino("a"), " one.txt")} {
		if !r.bridge.last().wasTold(what) {
			t.Errorf("not told: %s", what)
		}
	}
	r.wantText("a/one.txt", "one, second\n")
}
