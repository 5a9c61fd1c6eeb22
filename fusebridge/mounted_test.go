package fusebridge

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// hang is how long a wait may take before it counts as hanging. Nothing is timed by it.
const hang = 30 * time.Second

// spying is a bridge whose handlers a test can replace.
type spying struct {
	*Bridge
	wrap func(*raw) fuse.RawFileSystem
	conn *conn
}

// Attach implements actors.Bridge.
func (s *spying) Attach(ctx context.Context, fs *actors.FS, opts actors.AttachOptions) (actors.Conn, error) {
	if s.wrap == nil {
		c, err := s.Bridge.Attach(ctx, fs, opts)
		if err == nil {
			s.conn = c.(*conn)
		}
		return c, err
	}
	fd, err := mount(ctx, opts)
	if err != nil {
		return nil, err
	}
	r := newRaw(fs, opts)
	wrapped := s.wrap(r)
	s.conn = &conn{log: s.log, mountpoint: opts.Mountpoint, transport: newTransport(fd, wrapped, r.acls, opts.Journal, s.log, newTracer(fs, s.log))}
	s.conn.transport.start()
	<-s.conn.transport.ready
	return s.conn, nil
}

// lab is a real mount of a real repository. Only child processes touch it: this one serves it.
type lab struct {
	t     *testing.T
	point string
	mount *actors.Mount
	conn  *conn
	log   *lockedBuffer
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newLab(t *testing.T, level slog.Level, wrap func(*raw) fuse.RawFileSystem) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, point: filepath.Join(dir, "mnt"), log: new(lockedBuffer)}
	check(t, os.Mkdir(l.point, 0o755))
	log := slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: level}))
	origin, err := gitrepo.Open(t.Context(), origintest.NewRepo(t).Dir)
	check(t, err)
	store, err := cache.Open(cache.Config{Dir: filepath.Join(dir, "cache"), Log: log})
	check(t, err)
	bridge := &spying{Bridge: New(log), wrap: wrap}
	engine, err := actors.NewEngine(actors.Config{Content: store, Bridge: bridge, Log: log})
	check(t, err)
	l.mount, err = engine.Mount(t.Context(), actors.MountSpec{Origin: origin, Mountpoint: l.point, Upper: filepath.Join(dir, "upper")})
	check(t, err)
	l.conn = bridge.conn
	t.Cleanup(func() {
		check(t, engine.Close(context.Background()))
		check(t, store.Close())
		check(t, origin.Close())
		if _, err := Find(l.point); err == nil {
			t.Error("the mount is left")
		}
	})
	return l
}

// sh runs a script in the mount and returns what it says, and whether it succeeded.
func (l *lab) sh(script string) (string, bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sh", "-c", "cd "+l.point+" && "+script).CombinedOutput()
	if ctx.Err() != nil {
		_ = Detach(l.point)
		l.t.Fatalf("%s hangs: %s", script, out)
	}
	return strings.TrimSpace(string(out)), err == nil
}

func (l *lab) want(script, want string) {
	l.t.Helper()
	if got, ok := l.sh(script); !ok || got != want {
		l.t.Errorf("%s says %q, want %q", script, got, want)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func waitFor(t testing.TB, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hang); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
