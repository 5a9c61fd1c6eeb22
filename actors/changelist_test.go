package actors

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// withChangelists has the origin know two of them.
func withChangelists(c *Config, r *rig) {
	withCommits(map[string]func(map[string]file){"second": nextCommit})(c, r)
	o := r.origin
	o.lists = map[string][]remote.Change{
		"ONE": {
			{Action: remote.Modified, Path: "run.sh", ID: o.add(object.Blob, []byte("#!/bin/sh\nexit\n"))},
			{Action: remote.Deleted, Path: "c/only.txt"},
			{Action: remote.Renamed, Path: "b/moved.txt", OldPath: "a/two.txt", ID: o.add(object.Blob, []byte("two\n"))},
			{Action: remote.New, Path: "new/tool", ID: o.add(object.Blob, []byte("#!/bin/sh\n"))},
		},
		"BELOW":  {{Action: remote.Modified, Path: "one.txt", ID: o.add(object.Blob, []byte("one, below\n"))}},
		"BROKEN": {{Action: remote.New, Path: "x", ID: object.ID{7}}, {Action: remote.Modified, Path: "top.txt", ID: o.add(object.Blob, []byte("!"))}},
		"WRONG":  {{Action: remote.Modified, Path: "not/there", ID: object.EmptyBlob}},
	}
}

func (r *rig) set(link, path string) {
	r.t.Helper()
	_, err := r.mount.SetChangelist(context.Background(), Changelist{link, path})
	check(r.t, err)
}

func TestAChangelistComesAndGoesInALiveMount(t *testing.T) {
	r := newRig(t, withChangelists)
	check(t, r.writeAt("top.txt", "T", 0))
	before := r.snapshot()
	two := r.ino("a/two.txt")
	r.set("ONE", "")
	r.wantText("run.sh", "#!/bin/sh\nexit\n")
	r.wantText("b/moved.txt", "two\n")
	r.wantText("top.txt", "Top\n")
	if r.exists("c") || r.exists("a/two.txt") {
		t.Error("what the changelist removed is there")
	}
	for path, want := range map[string]uint32{"run.sh": 0o755, "b/moved.txt": 0o644, "new/tool": 0o755} {
		if a, err := r.lookup(path); err != nil || a.Mode&0o777 != want {
			t.Errorf("%s: mode %o, %v", path, a.Mode, err)
		}
	}
	p := make([]byte, 10)
	if n, err := r.fs.Read(nobodyWaits, two, p, 0); err != nil || string(p[:n]) != "two\n" {
		t.Errorf("a file that was open reads %q, %v", p[:n], err)
	}
	cl, changed := r.mount.Changelist()
	if cl.Link != "ONE" || len(changed) != 4 {
		t.Errorf("shows %v: %v", cl, changed)
	}

	r.set("BELOW", "a") // the one before goes
	r.wantText("a/one.txt", "one, below\n")
	r.wantText("a/two.txt", "two\n")

	r.switchTo("second") // it stays on another commit
	r.wantText("a/one.txt", "one, below\n")
	r.wantText("c", "a file by now\n")
	r.switchTo("")

	_, err := r.mount.ClearChangelist(context.Background())
	check(t, err)
	r.wantText("a/one.txt", "one\n")
	if cl, changed := r.mount.Changelist(); cl.Link != "" || changed != nil {
		t.Errorf("shows %v", cl)
	}
	if after := r.snapshot(); plain(after) != plain(before) {
		t.Errorf("after clearing:\n%s\nbefore:\n%s", after, before)
	}
}

func TestAChangelistIsReadAgainWhenItIsSetAgain(t *testing.T) {
	r := newRig(t, withChangelists)
	r.set("BELOW", "a")
	r.set("BELOW", "a")
	if n := r.origin.count("changes BELOW"); n != 2 {
		t.Errorf("asked for %d times", n)
	}
	r.switchTo("second")
	if n := r.origin.count("changes BELOW"); n != 2 {
		t.Errorf("asked for %d times: what the mount shows changed by itself", n)
	}
}

func TestAChangelistAtMountTime(t *testing.T) {
	r := newEngine(t, withChangelists)
	r.changelist = Changelist{Link: "ONE"}
	check(t, r.mountAgain())
	r.wantText("run.sh", "#!/bin/sh\nexit\n")
	r.remount()
	r.wantText("b/moved.txt", "two\n")
	r.changelist = Changelist{Link: "NONE"}
	r.forgetAll()
	check(t, r.mount.Unmount(context.Background()))
	if err := r.mountAgain(); !errors.Is(err, remote.ErrNotFound) {
		t.Errorf("an unknown changelist: %v", err)
	}
}

func TestAChangelistThatCannotBeShownLeavesTheOneBefore(t *testing.T) {
	r := newRig(t, withChangelists)
	r.set("ONE", "")
	old := r.snapshot()
	for link, want := range map[string]error{"BROKEN": remote.ErrNotFound, "WRONG": changelist.ErrNotInBase, "NONE": remote.ErrNotFound} {
		if _, err := r.mount.SetChangelist(context.Background(), Changelist{Link: link}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", link, err, want)
		}
		if now := r.snapshot(); now != old {
			t.Errorf("%s left:\n%s\ninstead of:\n%s", link, now, old)
		}
		if cl, _ := r.mount.Changelist(); cl.Link != "ONE" {
			t.Errorf("says it shows %v", cl)
		}
	}
}

func TestAProcessThatTakesOverKnowsTheChangelist(t *testing.T) {
	r := newRig(t, withSession, withChangelists)
	r.set("ONE", "")
	r.ino("run.sh")
	r.origin.meet(func(_ context.Context, what string) error { return errors.New("down: " + what) })
	r.takeOver()
	r.wantText("run.sh", "#!/bin/sh\nexit\n")
	if !r.exists("new/tool") || r.exists("c") {
		t.Error("the changelist's names are gone")
	}
	if cl, changed := r.mount.Changelist(); cl.Link != "ONE" || len(changed) != 4 {
		t.Errorf("shows %v: %v", cl, changed)
	}
	r.origin.meet(nil)
	_, err := r.mount.ClearChangelist(context.Background())
	check(t, err)
	r.wantText("run.sh", "#!/bin/sh\n")
}

func TestAMountFollowsItsRevision(t *testing.T) {
	r := newEngine(t, withCommits(map[string]func(map[string]file){"second": nextCommit}))
	r.follow = time.Millisecond
	check(t, r.mountAgain())
	r.wantText("a/one.txt", "one\n")
	r.origin.moveHead("second")
	waitFor(t, "the switch", func() bool { return r.mount.Commit() == r.origin.commitNamed("second").ID })
	waitFor(t, "the new names", func() bool { return r.exists("a/deep/new/z.txt") })
	r.wantText("a/one.txt", "one, second\n")
	for _, spec := range []MountSpec{{Follow: time.Second, Rev: r.origin.commit.ID.String()}, {Follow: -1}} {
		spec.Origin, spec.Mountpoint, spec.Upper = r.origin, "/nowhere", r.dir+"/other"
		if _, err := r.engine.Mount(context.Background(), spec); !errors.Is(err, ErrBadSpec) {
			t.Errorf("follow %v at %q: %v", spec.Follow, spec.Rev, err)
		}
	}
}
