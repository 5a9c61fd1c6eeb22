package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/remote"
)

// saboteur is a probe that notes which messages each actor receives, and panics on one of them, once.
type saboteur struct {
	mu    sync.Mutex
	seen  map[string]bool // "region *actors.create"
	armed string          // what to panic on, "" for nothing
	after bool            // once the actor has handled it, not before
	fired bool
}

func (s *saboteur) probe(actor string, msg any) func() {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := fmt.Sprintf("%s %T", actor, msg)
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.seen[what] = true
	if what != s.armed {
		return nil
	}
	s.armed, s.fired = "", true
	if s.after {
		return func() { panic("injected after " + what) }
	}
	panic("injected before " + what)
}

// arm says what to panic on from now on; messages are noted anew.
func (s *saboteur) arm(what string, after bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.after, s.seen = what, after, nil
}

func (s *saboteur) noted() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.seen))
}

func (s *saboteur) hit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fired
}

// scenario is something that a user does, after a preparation that nothing disturbs. Between them the scenarios have each
// actor receive each of its messages.
type scenario struct {
	cold        bool // nothing is listed yet
	prepare, do func(r *rig) error
}

func scenarios() map[string]scenario {
	return map[string]scenario{
		"list":      {cold: true, do: func(r *rig) error { _, err := r.list("a/deep"); return err }},
		"read":      {cold: true, do: readCold},
		"read big":  {do: func(r *rig) error { _, err := r.read("a/deep/big.bin"); return err }},
		"create":    {do: func(r *rig) error { return ignoring(unix.EEXIST, r.create("a/deep/new")) }},
		"mkdir":     {do: func(r *rig) error { return ignoring(unix.EEXIST, r.mkdir("b/new")) }},
		"write":     {do: func(r *rig) error { return r.writeAt("a/one.txt", "O", 0) }},
		"write big": {do: func(r *rig) error { return r.writeAt("a/deep/big.bin", "O", 5) }},
		"promote a link": {do: func(r *rig) error {
			_, err := r.setattr("a/link", AttrChange{Mtime: &unix.Timespec{Sec: 9}})
			return err
		}},
		"truncate":     {do: func(r *rig) error { return r.truncate("a/deep/big.bin", 0) }},
		"chmod":        {do: func(r *rig) error { return r.chmod("a/deep", 0o700) }},
		"setxattr":     {do: func(r *rig) error { return r.fs.SetXattr(nobodyWaits, r.ino("b"), "trusted.x", []byte("v"), 0, false) }},
		"link":         {do: func(r *rig) error { return ignoring(unix.EEXIST, r.link("a/one.txt", "b/hard")) }},
		"unlink lower": {do: func(r *rig) error { return ignoring(unix.ENOENT, r.unlink("a/one.txt")) }},
		"unlink upper": {
			prepare: func(r *rig) error { return r.write("a/new", "x") },
			do:      func(r *rig) error { return ignoring(unix.ENOENT, r.unlink("a/new")) },
		},
		"rmdir": {
			prepare: func(r *rig) error { return r.unlink("c/only.txt") },
			do:      func(r *rig) error { return ignoring(unix.ENOENT, r.rmdir("c")) },
		},
		"temporary file": {do: func(r *rig) error {
			_, err := r.took(r.fs.CreateTemp(nobodyWaits, r.ino("a"), births["file"]))
			return err
		}},
		"rename within a region": {do: func(r *rig) error { return ignoring(unix.ENOENT, r.rename("a/one.txt", "a/deep/moved", 0)) }},
		"rename to a region":     {cold: true, do: func(r *rig) error { return renameBlind(r, "a/one.txt", "b", "moved") }},
		"rename over lower":      {do: func(r *rig) error { return ignoring(unix.ENOENT, r.rename("a/one.txt", "b/one.txt", 0)) }},
		"move a lower directory": {do: func(r *rig) error { return ignoring(unix.ENOENT, r.rename("a/deep", "b/moved", 0)) }},
		"switch": {
			prepare: func(r *rig) error { return r.writeAt("a/two.txt", "T", 0) },
			do: func(r *rig) error {
				if err := ignoring(unix.ENOENT, r.rename("a/deep", "moved", 0)); err != nil {
					return err
				}
				_, err := r.mount.Switch(context.Background(), "second")
				r.rev = "second"
				return err
			},
		},
		"a name that is left": {prepare: lostName, do: func(r *rig) error { _, err := r.read("b/hard"); return err }},
	}
}

func ignoring(ok, err error) error {
	if errors.Is(err, ok) && !errors.Is(err, ErrOrigin) {
		return nil
	}
	return err
}

// readCold reads a file whose size is not known. The size is answered before the bytes are stored, and a reader who comes in
// between asks for them, so that it would depend on chance which messages there are.
func readCold(r *rig) error {
	if _, err := r.lookup("a/one.txt"); err != nil {
		return err
	}
	r.settleLoader()
	_, err := r.read("a/one.txt")
	return err
}

// renameBlind renames to a directory that nobody has listed, so that one region must ask the other.
func renameBlind(r *rig, from, dir, name string) error {
	oldDir, oldName, err := r.split(from)
	if err != nil {
		return err
	}
	if _, err := r.lookup(from); err != nil {
		return ignoring(unix.ENOENT, err)
	}
	to, err := r.lookup(dir)
	if err != nil {
		return err
	}
	r.settleLoader()
	return ignoring(unix.ENOENT, r.fs.Rename(nobodyWaits, oldDir, oldName, to.Ino, name, 0))
}

// lostName leaves a file with a second name only, of which the kernel knows nothing any more.
func lostName(r *rig) error {
	err := firstError(r.write("a/new", "text"), r.link("a/new", "b/hard"), r.unlink("a/new"))
	r.forgetAll()
	r.orphansBecome(0)
	return err
}

// everyMessage is what the scenarios together must make the mount's actors receive. Those of the engine and of the mount are
// tested by TestPanicsWhileMounting.
const everyMessage = `
copy-up *actors.contentFetched
copy-up *actors.detach
copy-up *actors.learnSizes
copy-up *actors.promote
copy-up *actors.sever
copy-up *actors.staged
dicfuse *actors.prepared
dicfuse *actors.readSizes
dicfuse *actors.readTree
dicfuse *actors.redirected
dicfuse *actors.settled
dicfuse *actors.switchTo
loader *actors.fetch
loader *actors.fetchBlob
loader *actors.fetched
notifier *actors.told
region *actors.adopt
region *actors.create
region *actors.createTemp
region *actors.link
region *actors.listed
region *actors.loadTable
region *actors.promoteNode
region *actors.relay
region *actors.remove
region *actors.rename
region *actors.rebase
region *actors.relaid
region *actors.reseat
region *actors.resolveSize
region *actors.setAttr
region *actors.retree
region *actors.setXattr
region *actors.severed
region *actors.sized
region *actors.treeFetched
region *actors.vacated
upper *actors.reap
`

// TestAPanicInAnyMessage does each scenario once undisturbed, and then once for each message that it made an actor
// receive, with a panic in that message, before and after it is handled: the caller gets EIO once or notices nothing, the
// same thing done again succeeds, and what then shows is what the disk says.
func TestAPanicInAnyMessage(t *testing.T) {
	covered := make(map[string]bool)
	for name, s := range scenarios() {
		messages := undisturbed(t, s)
		for _, what := range messages {
			covered[what] = true
			for when, after := range map[string]bool{"before": false, "after": true} {
				t.Run(fmt.Sprintf("%s, %s %s", name, when, what), func(t *testing.T) { disturbed(t, s, what, after) })
			}
		}
	}
	for want := range strings.FieldsSeq(strings.ReplaceAll(strings.TrimSpace(everyMessage), " ", "_")) {
		if want = strings.ReplaceAll(want, "_", " "); !covered[want] {
			t.Errorf("no scenario makes %q", want)
		}
	}
}

// begin mounts and does a scenario's preparation. Sizes and listings are known then, unless the scenario is cold.
func (s *scenario) begin(t *testing.T, sab *saboteur) *rig {
	t.Helper()
	r := newRig(t, withProbe(sab.probe), withCommits(map[string]func(map[string]file){"second": nextCommit}))
	if !s.cold {
		for path := range corpus() {
			_, err := r.lookup(path)
			check(t, err)
		}
		for !r.sizesRecorded() {
			runtime.Gosched()
		}
	}
	if s.prepare != nil {
		check(t, s.prepare(r))
	}
	r.settleLoader()
	return r
}

// settleLoader returns when the loader has handled each fetched: they may come after the answers.
func (r *rig) settleLoader() {
	r.t.Helper()
	if left := waitForNone(func(stack string) bool { return strings.Contains(stack, "(*loader).start") }); left != "" {
		r.t.Fatalf("fetches do not end:\n%s", left)
	}
	done := make(chan outcome, 1) // the mailbox is a queue
	r.engine.loader.Tell(&fetch{
		Source: r.fs.core.source, Want: wantTree, ID: object.EmptyTree, Ref: remote.TreeRef{ID: object.EmptyTree}, Done: func(o outcome) { done <- o },
	})
	<-done
}

// holdUp holds up what the origin is asked for from now on, and not what was asked for before and may still bring it.
func (r *rig) holdUp(what string) *gate {
	r.t.Helper()
	r.settleLoader()
	return r.origin.holdUp(what)
}

// sizesRecorded tells whether copy-up has handled each learnSizes: they come after the answers.
func (r *rig) sizesRecorded() bool {
	all := true
	r.fs.core.index.All(func(n *tree.Node) bool {
		all = all && (n.State().Where == tree.Upper || n.State().Size != tree.UnknownSize)
		return all
	})
	return all
}

// undisturbed returns which messages a scenario makes.
func undisturbed(t *testing.T, s scenario) (messages []string) {
	t.Run("undisturbed", func(t *testing.T) {
		var sab saboteur
		r := s.begin(t, &sab)
		sab.arm("", false)
		check(t, s.do(r))
		r.forgetAll()
		check(t, r.mount.Unmount(context.Background())) // each actor stops behind its messages
		for _, what := range sab.noted() {
			if actor, _, _ := strings.Cut(what, " "); actor != "mount" && actor != "engine" && what != "loader *actors.quit" { // those are tested elsewhere
				messages = append(messages, what)
			}
		}
	})
	return messages
}

func disturbed(t *testing.T, s scenario, what string, after bool) {
	var sab saboteur
	r := s.begin(t, &sab)
	sab.arm(what, after)
	if err := s.do(r); err != nil && !errors.Is(err, ErrPanic) {
		t.Errorf("%v, want success or ErrPanic", err)
	} else if err == nil && strings.Contains(what, "reap") {
		r.forgetAll()
	}
	waitFor(t, "the panic", sab.hit)
	if err := s.do(r); err != nil {
		t.Errorf("the next try: %v", err)
	}
	check(t, firstError(r.create("a/next"), r.writeAt("a/next", "x", 0), r.unlink("a/next"), r.mkdir("b/next"), r.rmdir("b/next")))
	r.wantSameAfterRemount()
}

func waitFor(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hang / 2); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

// TestARemovalThatFailsLeavesTheFile: somebody put a file behind the mount's back where the whiteout would be made. The file
// below was cut off from its name, so that no write could follow it there, and must have it again.
func TestARemovalThatFailsLeavesTheFile(t *testing.T) {
	for _, what := range []string{"", "copy-up *actors.reattach", "copy-up *actors.detach"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("panic in %q, after %v", what, after), func(t *testing.T) {
				var sab saboteur
				r := newRig(t, withProbe(sab.probe), withCommits(map[string]func(map[string]file){"second": nextCommit}))
				check(t, r.create("b/other")) // b is in upper, and listed
				check(t, unix.Mknod(r.onDisk("b/one.txt"), unix.S_IFIFO|0o600, 0))
				sab.arm(what, after)
				if err := r.unlink("b/one.txt"); !errors.Is(err, unix.EEXIST) && !errors.Is(err, ErrPanic) {
					t.Errorf("%v", err)
				}
				check(t, unix.Unlink(r.onDisk("b/one.txt")))
				waitFor(t, "the panic", func() bool { return what == "" || sab.hit() })
				waitFor(t, "the return of the name", func() bool { a, err := r.lookup("b/one.txt"); return err == nil && a.Nlink == 1 })
				check(t, r.writeAt("b/one.txt", "B", 0))
				r.wantText("b/one.txt", "B one\n")
				r.wantSameAfterRemount()
				check(t, r.unlink("b/one.txt"))
			})
		}
	}
}

// TestPanicsInTheNotifierLoseANotification: it has nobody to answer to.
func TestPanicsInTheNotifierLoseANotification(t *testing.T) {
	for _, what := range []string{"notifier *actors.invalidateEntry", "notifier *actors.invalidateInode"} {
		t.Run(what, func(t *testing.T) {
			var sab saboteur
			r := newRig(t, withProbe(sab.probe), withCommits(map[string]func(map[string]file){"second": nextCommit}))
			sab.arm(what, false)
			core := r.fs.core
			for range 2 {
				core.notifier.Tell(&invalidateEntry{Parent: 1, Name: "x"})
				core.notifier.Tell(&invalidateInode{Ino: 5})
			}
			check(t, r.mount.Unmount(context.Background()))
			conn := r.bridge.last()
			if !sab.hit() || len(conn.told) != 3 || !conn.wasTold("entry 1 x") || !conn.wasTold("inode 5") {
				t.Errorf("the kernel was told %v", conn.told)
			}
		})
	}
}

// A mutation that panics leaves doubt about its directory: the kernel is told to ask again.
func TestAPanicHasTheKernelForget(t *testing.T) {
	var sab saboteur
	r := newRig(t, withProbe(sab.probe), withCommits(map[string]func(map[string]file){"second": nextCommit}))
	dir := r.ino("a")
	_, err := r.list("a")
	check(t, err)
	sab.arm("region *actors.create", true)
	_, _ = r.took(r.fs.Create(nobodyWaits, dir, "new", births["file"]))
	check(t, r.mount.Unmount(context.Background()))
	conn := r.bridge.last()
	if want := fmt.Sprintf("entry %d new", dir); !conn.wasTold(want) || !conn.wasTold(fmt.Sprintf("inode %d", dir)) {
		t.Errorf("the kernel was told %v, want %s", conn.told, want)
	}
}
