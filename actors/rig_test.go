package actors

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/object"
)

// hang is how long a test may take before it counts as hanging. Nothing here is timed by it.
const hang = 60 * time.Second

// scratch is a tmpfs for what the tests make, most of which make a store and a cache each: on a disk that others use as well
// they take three times as long. Tests with onDisk use the disk.
var scratch string

func TestMain(m *testing.M) { os.Exit(runInScratch(m)) }

func runInScratch(m *testing.M) int {
	dir, err := os.MkdirTemp("", "actors")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.Remove(dir) }()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=2g"); err == nil { // else we are not root
		defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
		scratch = dir
	}
	return m.Run()
}

// rig is an engine with one mount of a fake origin through a fake kernel.
type rig struct {
	t        testing.TB
	dir      string // upper and upper.work are in it
	cacheDir string // in dir, if no option says otherwise
	origin   *fakeOrigin
	bridge   *fakeBridge
	store    *cache.Store
	engine   *Engine
	mount    *Mount
	log      *slog.Logger
	session  *Session
	rev      string

	changelist Changelist
	follow     time.Duration
	profile    string
	ahead      int64 // of the spec: its Prefetch; -1 if no option says otherwise
	seen       atomic.Pointer[prefetcher]
	aheadAsked atomic.Int64 // files that the prefetcher asked for
	*kernel
}

// corpus is what most tests mount.
func corpus() map[string]file {
	plain := func(text string) file { return file{object.ModeFile, text} }
	return map[string]file{
		"top.txt":         plain("top\n"),
		"run.sh":          {object.ModeExec, "#!/bin/sh\n"},
		"link":            {object.ModeSymlink, "a/one.txt"},
		"empty":           plain(""),
		"sub":             {object.ModeGitlink, ""},
		"a/one.txt":       plain("one\n"),
		"a/two.txt":       plain("two\n"),
		"a/link":          {object.ModeSymlink, "one.txt"},
		"a/deep/x/y.txt":  plain("y\n"),
		"a/deep/big.bin":  plain(strings.Repeat("0123456789abcdef", 40_000)), // beyond smallBlob
		"b/one.txt":       plain("b one\n"),
		"b/deep/keep.txt": plain("keep\n"),
		"c/only.txt":      plain("only\n"),
	}
}

// option changes a rig before its engine starts.
type option func(*Config, *rig)

func withFiles(files map[string]file) option {
	return func(_ *Config, r *rig) { r.origin = newOrigin(files) }
}

// onDisk has the rig's directories in the usual place.
func onDisk(_ *Config, r *rig) { r.dir = r.t.TempDir() }

// withLinger has large blobs stay open whose size was asked for.
func withLinger(c *Config, _ *rig) { c.linger = time.Hour }

func withProbe(p probe) option { return func(c *Config, _ *rig) { c.probe = p } }

func withLog(w io.Writer) option {
	return func(c *Config, r *rig) {
		r.log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Log = r.log
	}
}

// newEngine makes a rig without a mount. At the end of the test it is closed, and nothing of it may be left.
func newEngine(t testing.TB, opts ...option) *rig {
	t.Helper()
	guardAgainstHanging(t)
	r := &rig{t: t, bridge: &fakeBridge{}, log: slog.New(slog.DiscardHandler), ahead: -1}
	cfg := Config{Bridge: r.bridge, Log: r.log, linger: -1}
	for _, o := range opts {
		o(&cfg, r)
	}
	if r.origin == nil {
		r.origin = newOrigin(corpus())
	}
	var err error
	if r.dir == "" {
		r.dir, err = os.MkdirTemp(scratch, "rig")
		check(t, err)
		t.Cleanup(func() { check(t, os.RemoveAll(r.dir)) })
	}
	if r.cacheDir == "" {
		r.cacheDir = filepath.Join(r.dir, "cache")
	}
	r.store, err = cache.Open(cache.Config{Dir: r.cacheDir, Log: r.log})
	check(t, err)
	cfg.Content = r.store
	r.engine, err = NewEngine(cfg)
	check(t, err)
	t.Cleanup(r.close)
	return r
}

// newRig mounts as well.
func newRig(t testing.TB, opts ...option) *rig {
	t.Helper()
	r := newEngine(t, opts...)
	check(t, r.mountAgain())
	return r
}

func (r *rig) spec() MountSpec {
	return MountSpec{Origin: r.origin, Rev: r.rev, Changelist: r.changelist, Follow: r.follow, Mountpoint: "/nowhere", Upper: filepath.Join(r.dir, "upper"), UID: 7, GID: 8, Session: r.session, Prefetch: r.ahead, Profile: r.profile}
}

// mountAgain mounts, and hands the kernel the new file system.
func (r *rig) mountAgain() error {
	m, err := r.engine.Mount(context.Background(), r.spec())
	if err != nil {
		return err
	}
	r.mount, r.kernel = m, &kernel{t: r.t, fs: m.FS(), known: make(map[uint64]uint64)}
	return nil
}

// remount is an unmount and a mount over the same directories.
func (r *rig) remount() {
	r.t.Helper()
	r.forgetAll()
	check(r.t, r.mount.Unmount(context.Background()))
	check(r.t, r.mountAgain())
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	for _, c := range r.bridge.attached {
		c.setBusy(nil)
	}
	if err := r.engine.Close(ctx); err != nil {
		r.t.Errorf("close the engine: %v", err)
	}
	check(r.t, r.store.Close())
	if left := waitForNone(ours); left != "" {
		r.t.Errorf("goroutines that outlive the engine:\n%s", left)
	}
	for _, name := range []string{"tmp", "orphans"} {
		if entries, err := os.ReadDir(filepath.Join(r.dir, "upper.work", name)); err == nil && len(entries) > 0 {
			r.t.Errorf("work/%s holds %d files after the engine's end", name, len(entries))
		}
	}
}

// guardAgainstHanging ends the test program with every goroutine's stack if the test does not end.
func guardAgainstHanging(t testing.TB) {
	timer := time.AfterFunc(hang, func() {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		panic(t.Name() + " hangs")
	})
	t.Cleanup(func() { timer.Stop() })
}

// ours tells whether a goroutine's stack is one of an engine. The actor library counts dead letters for a second each, in a
// goroutine that nothing ends.
func ours(stack string) bool {
	if strings.Contains(stack, "testing.") || strings.Contains(stack, "NewThrottle") {
		return false
	}
	return strings.Contains(stack, "/actors.") || strings.Contains(stack, "protoactor-go")
}

// waitForNone returns the stacks that match when no more of them go away, "" as soon as none is left.
func waitForNone(match func(string) bool) string {
	for deadline := time.Now().Add(hang / 2); ; time.Sleep(time.Millisecond) {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		var left []string
		for _, stack := range bytes.Split(buf, []byte("\n\n")) {
			if match(string(stack)) {
				left = append(left, string(stack))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
