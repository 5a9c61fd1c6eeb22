package actors

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// leaver is a caller who is gone as soon as the answer takes a while.
func leaver() (Caller, func()) {
	cancel := make(chan struct{})
	return Caller{Cancel: cancel}, func() { close(cancel) }
}

func TestACallerWhoLeavesHasDoneNothing(t *testing.T) {
	for what, do := range map[string]func(r *rig, who Caller, dir uint64) error{
		"lookup": func(r *rig, who Caller, dir uint64) error { _, err := r.fs.Lookup(who, dir, "one.txt"); return err },
		"create": func(r *rig, who Caller, dir uint64) error {
			_, err := r.fs.Create(who, dir, "new", births["file"])
			return err
		},
		"remove": func(r *rig, who Caller, dir uint64) error { return r.fs.Remove(who, dir, "one.txt", false) },
		"rename": func(r *rig, who Caller, dir uint64) error { return r.fs.Rename(who, dir, "one.txt", 1, "moved", 0) },
		"link": func(r *rig, who Caller, dir uint64) error {
			_, err := r.fs.Link(who, r.ino("run.sh"), dir, "new")
			return err
		},
		"readdir": func(r *rig, who Caller, dir uint64) error {
			return r.fs.Readdir(who, dir, Cursor{}, func(DirEntry) bool { return true })
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.ino("run.sh")
			dir := r.ino("a")
			g := r.origin.holdUp("tree a")
			who, leave := leaver()
			result := make(chan error)
			go func() { result <- do(r, who, dir) }()
			<-g.arrived
			leave()
			wantErr(t, what, <-result, ErrInterrupted)
			close(g.open)
			if names, err := r.list("a"); err != nil || strings.Join(names, " ") != "deep link one.txt two.txt" {
				t.Errorf("a lists %v, %v", names, err)
			}
			if names, err := r.list(""); err != nil || len(names) != 8 {
				t.Errorf("the root lists %v, %v", names, err)
			}
		})
	}
}

func TestAReaderMayLeave(t *testing.T) {
	r := newRig(t)
	ino := r.ino("a/deep/big.bin")
	g := r.holdUp("blob")
	who, leave := leaver()
	result := make(chan error)
	go func() { _, err := r.fs.Read(who, ino, make([]byte, 1), 0); result <- err }()
	<-g.arrived
	leave()
	wantErr(t, "read", <-result, ErrInterrupted)
	close(g.open)
	r.wantText("top.txt", "top\n")
}

// Once a mutation has begun its caller waits for the end, whatever happens: EINTR must not hide what was done.
func TestAMutationThatHasBegunIsAnswered(t *testing.T) {
	r := newRig(t)
	ino, dir := r.ino("a/deep/big.bin"), r.ino("a/deep")
	_, err := r.took(r.fs.Create(nobodyWaits, dir, "new", births["file"])) // so that the removal waits for nothing but the write
	check(t, err)
	g := r.holdUp("blob")
	written, removed := make(chan error), make(chan error)
	go func() { _, err := r.fs.Write(nobodyWaits, ino, []byte("X"), 0, false); written <- err }()
	<-g.arrived
	who, leave := leaver()
	m := &remove{Parent: r.fs.core.index.Find(dir), Name: "big.bin"}
	go func() { removed <- r.fs.ask(who, m.Parent.Owner, m) }()
	waitFor(t, "the beginning", func() bool { return m.state.Load() == running })
	leave()
	close(g.open)
	check(t, <-written)
	check(t, <-removed)
	if r.exists("a/deep/big.bin") {
		t.Error("not removed")
	}
}

// A truncation to a part is the promotion itself, which needs the content of that part.
func TestATruncationWhoseCallerLeavesCutsNothing(t *testing.T) {
	r := newRig(t)
	ino := r.ino("a/deep/big.bin")
	g := r.holdUp("blob")
	who, leave := leaver()
	size, result := int64(5), make(chan error)
	go func() { _, err := r.fs.Setattr(who, ino, AttrChange{Size: &size}); result <- err }()
	<-g.arrived
	written := make(chan error)
	go func() { _, err := r.fs.Write(nobodyWaits, ino, []byte("X"), 10, false); written <- err }() // waits for the same promotion
	leave()
	wantErr(t, "truncate", <-result, ErrInterrupted)
	close(g.open)
	check(t, <-written)
	if got, err := r.read("a/deep/big.bin"); err != nil || len(got) != 640_000 || got[:12] != "0123456789Xb" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	check(t, r.truncate("a/deep/big.bin", 12))
	r.wantText("a/deep/big.bin", "0123456789Xb")
	r.wantSameAfterRemount()
}

func TestACallIsAnsweredOnce(t *testing.T) {
	c := new(Call)
	c.open()
	if !c.begin() || !c.begin() {
		t.Error("a request that began may be received again")
	}
	c.finish(nil)
	c.finish(ErrPanic)
	if err := c.wait(nobodyWaits); err != nil {
		t.Errorf("%v: the first answer counts", err)
	}
	if c.begin() {
		t.Error("began after its answer")
	}
	gone := new(Call)
	gone.open()
	who, leave := leaver()
	leave()
	wantErr(t, "wait", gone.wait(who), ErrInterrupted)
	if gone.begin() || !gone.over() {
		t.Error("began after its caller left")
	}
	gone.finish(nil) // nobody is there
}

func TestWhichSignalsEndAWait(t *testing.T) {
	if wantsOut(uint32(os.Getpid())) {
		t.Error("we want out")
	}
	if !wantsOut(0) || !wantsOut(1<<30) {
		t.Error("a thread that does not exist waits")
	}
	for signal, want := range map[unix.Signal]bool{unix.SIGTERM: true, unix.SIGINT: true, unix.SIGUSR1: false, unix.SIGWINCH: false} {
		cmd := exec.Command("sleep", "60")
		check(t, cmd.Start())
		pid := cmd.Process.Pid
		check(t, unix.Kill(pid, unix.SIGSTOP)) // a stopped process keeps its signals pending
		waitFor(t, "the stop", func() bool {
			stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
			return err == nil && strings.Contains(string(stat), ") T ")
		})
		check(t, unix.Kill(pid, signal))
		if got := wantsOut(uint32(pid)); got != want {
			t.Errorf("%v: %v, want %v", signal, got, want)
		}
		check(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
	}
}
