package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
	"github.com/antares-actor/antares-actor/remote"
)

func TestTheLifeOfAMount(t *testing.T) {
	r := newRig(t)
	m := r.mount
	if m.State() != Ready || m.Mountpoint() != "/nowhere" || m.Commit() != r.origin.commit.ID || m.String() != "fake:repository on /nowhere" {
		t.Errorf("%v %s %s %s", m.State(), m.Mountpoint(), m.Commit(), m)
	}
	if m.Spec().Work != r.spec().Upper+".work" {
		t.Errorf("the work directory is %s", m.Spec().Work)
	}
	if !slices.Equal(r.engine.Mounts(), []*Mount{m}) {
		t.Errorf("the engine lists %v", r.engine.Mounts())
	}
	s := m.Stats()
	if s.State != Ready || s.Commit != m.Commit() || s.Inodes != 1 || s.Regions != 1 || s.Requests["LOOKUP"] != 3 || s.Since.IsZero() {
		t.Errorf("%+v", s)
	}
	check(t, m.Unmount(context.Background()))
	<-m.Done()
	waitFor(t, "the end of the list", func() bool { return len(r.engine.Mounts()) == 0 })
	if m.State() != Unmounted {
		t.Errorf("%v after the unmount", m.State())
	}
	for range 3 {
		wantErr(t, "unmount again", m.Unmount(context.Background()), ErrUnmounted)
	}
	if m.Stats().State != Unmounted {
		t.Error("an ended mount has no numbers")
	}
}

func TestAMountFails(t *testing.T) {
	broken := errors.New("broken")
	cases := map[string]struct {
		change func(*rig, *MountSpec)
		want   error
		says   string
	}{
		"no origin":               {func(_ *rig, s *MountSpec) { s.Origin = nil }, ErrBadSpec, "no origin"},
		"no mountpoint":           {func(_ *rig, s *MountSpec) { s.Mountpoint = "" }, ErrBadSpec, "no mountpoint"},
		"no upper":                {func(_ *rig, s *MountSpec) { s.Upper = "" }, ErrBadSpec, "no upper directory"},
		"a path that leads out":   {func(_ *rig, s *MountSpec) { s.Path = "a/../../etc" }, ErrBadSpec, "a/../../etc"},
		"a path with a slash":     {func(_ *rig, s *MountSpec) { s.Path = "/a" }, ErrBadSpec, "give a directory"},
		"a path that is not":      {func(_ *rig, s *MountSpec) { s.Path = "a/none" }, ErrNoPath, "a/none"},
		"a path that is a file":   {func(_ *rig, s *MountSpec) { s.Path = "a/one.txt" }, ErrNoPath, "it is a file"},
		"a path in a submodule":   {func(_ *rig, s *MountSpec) { s.Path = "sub" }, ErrNoPath, "submodule"},
		"an unknown revision":     {func(_ *rig, s *MountSpec) { s.Rev = "v9" }, remote.ErrUnknownRev, "v9"},
		"a bad mountpoint":        {func(r *rig, _ *MountSpec) { r.bridge.check = broken }, broken, ""},
		"a kernel that refuses":   {func(r *rig, _ *MountSpec) { r.bridge.attach = func(context.Context) error { return broken } }, broken, ""},
		"a bridge that panics":    {func(r *rig, _ *MountSpec) { r.bridge.attach = func(context.Context) error { panic("injected") } }, ErrPanic, ""},
		"an origin that is down":  {func(r *rig, _ *MountSpec) { r.failAll(broken) }, broken, ""},
		"an upper that is a file": {func(_ *rig, s *MountSpec) { s.Upper = "/dev/null" }, upper.ErrUnusable, "/dev/null"},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			r := newEngine(t)
			spec := r.spec()
			tt.change(r, &spec)
			m, err := r.engine.Mount(context.Background(), spec)
			if m != nil || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want one line of %v that says %q", err, tt.want, tt.says)
			}
			waitFor(t, "the end of the list", func() bool { return len(r.engine.Mounts()) == 0 })
			if name == "a bridge that panics" {
				return // what was made stays, for whoever looks into the panic
			}
			if entries, err := os.ReadDir(r.dir); err != nil || len(entries) != 1 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
			r.bridge.check, r.bridge.attach = nil, nil
			r.origin.meet(nil)
			check(t, r.mountAgain()) // nothing of it is in the way
		})
	}
}

// failAll has the origin answer everything with err.
func (r *rig) failAll(err error) {
	r.origin.meet(func(context.Context, string) error { return err })
}

func TestAMountOfASubtree(t *testing.T) {
	r := newEngine(t)
	spec := r.spec()
	spec.Path = "a/deep"
	m, err := r.engine.Mount(context.Background(), spec)
	check(t, err)
	r.kernel = &kernel{t: t, fs: m.FS(), known: make(map[uint64]uint64)}
	r.wantText("x/y.txt", "y\n")
	if names, err := r.list(""); err != nil || !slices.Equal(names, []string{"big.bin", "x"}) {
		t.Errorf("%v, %v", names, err)
	}
	if m.fs() == "" {
		t.Error("no name in the mount table")
	}
}

// fs is the mount's name in the mount table.
func (m *Mount) fs() string { return fsName(m.spec, *m.live.Load().core.pins.shown.Load()) }

func TestTheNameInTheMountTableHasNoComma(t *testing.T) {
	if got := fsName(MountSpec{FsName: "a,b,c"}, pinned{}); got != "a;b;c" {
		t.Errorf("%s", got)
	}
}

func TestABusyMountStays(t *testing.T) {
	r := newRig(t)
	r.bridge.last().setBusy(errBusy)
	for range 2 {
		wantErr(t, "unmount", r.mount.Unmount(context.Background()), ErrBusy)
		if r.mount.State() != Ready {
			t.Fatalf("the mount is %v", r.mount.State())
		}
		r.wantText("a/one.txt", "one\n")
	}
	wantErr(t, "close", r.engine.Close(context.Background()), ErrBusy)
	check(t, r.write("still", "works"))
	r.bridge.last().setBusy(nil)
	check(t, r.mount.Unmount(context.Background()))
}

func TestAnUnmountFromOutsideEndsTheMount(t *testing.T) {
	r := newRig(t)
	check(t, r.write("mine", "x"))
	r.bridge.last().vanish()
	<-r.mount.Done()
	if r.mount.State() != Unmounted {
		t.Errorf("the mount is %v", r.mount.State())
	}
	wantErr(t, "unmount", r.mount.Unmount(context.Background()), ErrUnmounted)
	_, err := r.fs.Lookup(nobodyWaits, tree.RootIno, "x")
	if err == nil {
		t.Error("an ended mount answers")
	}
	check(t, r.mountAgain()) // upper is free
	r.wantText("mine", "x")
}

func TestManyUnmountAtOnce(t *testing.T) {
	r := newRig(t)
	results := make(chan error)
	for range 8 {
		go func() { results <- r.mount.Unmount(context.Background()) }()
	}
	for range 8 {
		if err := <-results; err != nil && !errors.Is(err, ErrUnmounted) {
			t.Error(err)
		}
	}
}

func TestAnUnmountGivesUpWithItsContext(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.mount.Unmount(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-r.mount.Done() // it goes on all the same
}

// The kernel's refusal comes when somebody else has unmounted meanwhile: the mount must not be Ready again.
func TestARefusalThatComesTooLateChangesNothing(t *testing.T) {
	r := newRig(t)
	r.bridge.last().vanish()
	<-r.mount.Done()
	a := &mountActor{mount: r.mount, self: r.mount.actor}
	a.receive(&refused{err: errBusy})
	if r.mount.State() != Unmounted {
		t.Errorf("the mount is %v", r.mount.State())
	}
}

func TestARefusalIsAboutItsOwnAttempt(t *testing.T) {
	r := newRig(t)
	r.bridge.last().setBusy(errBusy)
	wantErr(t, "unmount", r.mount.Unmount(context.Background()), ErrBusy)
	a := &mountActor{mount: r.mount, self: r.mount.actor}
	r.mount.state.Store(uint32(Quiescing)) // as by the next attempt
	a.receive(&refused{attempt: 1, err: errBusy})
	if r.mount.State() != Quiescing {
		t.Errorf("an earlier refusal made the mount %v", r.mount.State())
	}
	r.mount.state.Store(uint32(Ready))
	r.bridge.last().setBusy(nil)
	check(t, r.mount.Unmount(context.Background()))
}

func TestAnUnmountDuringMountingEndsItAfterwards(t *testing.T) {
	r := newEngine(t)
	attaching, attach := make(chan struct{}), make(chan struct{})
	r.bridge.attach = func(context.Context) error { close(attaching); <-attach; return nil }
	mounted := make(chan error)
	go func() { _, err := r.engine.Mount(context.Background(), r.spec()); mounted <- err }()
	<-attaching
	m := r.engine.Mounts()[0]
	if m.State() != Provisioning || m.FS() != nil || !m.Commit().IsZero() || m.Stats().Inodes != 0 {
		t.Errorf("the mount is %v", m.State())
	}
	unmounted := make(chan error)
	go func() { unmounted <- m.Unmount(context.Background()) }()
	cmd := &unmount{} // behind the one above, or before it: both end
	cmd.open()
	m.actor.Tell(cmd)
	close(attach)
	check(t, <-mounted)
	check(t, <-unmounted)
	<-m.Done()
}

func TestMountingGivesUpWithItsContext(t *testing.T) {
	r := newEngine(t)
	g := r.origin.holdUp("pin")
	ctx, cancel := context.WithCancel(context.Background())
	mounted := make(chan error)
	go func() { _, err := r.engine.Mount(ctx, r.spec()); mounted <- err }()
	<-g.arrived
	cancel()
	wantErr(t, "mount", <-mounted, context.Canceled)
}

// Panics in the engine's and the mount's own messages: whoever mounts or unmounts gets an answer, the engine goes on, and
// in the end nothing of the mount is left.
func TestPanicsWhileMounting(t *testing.T) {
	for _, what := range []string{
		"engine *actors.startMount", "mount *actors.startMount", "mount *actors.provisioned", "mount *actors.unmount",
		"mount *actors.refused", "mount *actors.detached", "mount *actors.stopped", "engine *actors.mountEnded",
	} {
		for when, after := range map[string]bool{"before": false, "after": true} {
			t.Run(fmt.Sprintf("%s %s", when, what), func(t *testing.T) { panicWhileMounting(t, what, after) })
		}
	}
}

func panicWhileMounting(t *testing.T, what string, after bool) {
	var sab saboteur
	r := newEngine(t, withProbe(sab.probe))
	sab.arm(what, after)
	if err := r.mountAgain(); err != nil {
		wantErr(t, "mount", err, ErrPanic)
		waitFor(t, "the end of the mount", func() bool { return len(r.engine.Mounts()) == 0 })
		check(t, r.mountAgain())
	}
	m := r.mount
	r.wantText("a/one.txt", "one\n")
	r.bridge.last().setBusy(errBusy)
	if err := m.Unmount(context.Background()); !errors.Is(err, ErrBusy) && !errors.Is(err, ErrPanic) {
		t.Errorf("unmount of a busy mount: %v", err)
	}
	waitFor(t, "the end of the attempt", func() bool { return m.State() == Ready })
	r.bridge.last().setBusy(nil)
	if err := m.Unmount(context.Background()); err != nil {
		wantErr(t, "unmount", err, ErrPanic)
		if err := m.Unmount(context.Background()); err != nil && !errors.Is(err, ErrUnmounted) {
			t.Errorf("the next try: %v", err)
		}
	}
	<-m.Done()
	waitFor(t, "the panic", sab.hit)
	waitFor(t, "the end of the list", func() bool { return len(r.engine.Mounts()) == 0 })
	check(t, r.mountAgain())
}

func TestAFactThatPanicsTwiceIsGivenUp(t *testing.T) {
	left := 2
	r := newRig(t, withProbe(func(actor string, msg any) func() {
		if _, ok := msg.(*refused); ok || left == 1 && isAgain(msg) {
			left--
			panic("injected")
		}
		return nil
	}))
	r.bridge.last().setBusy(errBusy)
	wantErr(t, "unmount", r.mount.Unmount(context.Background()), ErrPanic)
	r.bridge.last().vanish()
	<-r.mount.Done()
}

func isAgain(msg any) bool { _, ok := msg.(*again); return ok }

func TestStatesHaveNames(t *testing.T) {
	for s := Provisioning; s <= Failed; s++ {
		if s.String() == "" {
			t.Errorf("%d has none", s)
		}
	}
}

func TestWorkBesideUpper(t *testing.T) {
	r := newEngine(t)
	spec := r.spec()
	spec.Upper += "/"
	m, err := r.engine.Mount(context.Background(), spec)
	check(t, err)
	if want := filepath.Join(r.dir, "upper.work"); m.Spec().Work != want {
		t.Errorf("%s, want %s", m.Spec().Work, want)
	}
}
