package fusebridge

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// session is what a mount outlives its engines by.
type session struct {
	t    *testing.T
	spec actors.MountSpec
	log  *lockedBuffer

	engine *actors.Engine
	here   *actors.Mount
}

func newSession(t *testing.T) *session {
	t.Helper()
	dir := t.TempDir()
	s := &session{t: t, log: new(lockedBuffer)}
	point := filepath.Join(dir, "mnt")
	check(t, os.Mkdir(point, 0o755))
	origin, err := gitrepo.Open(t.Context(), origintest.NewRepo(t).Dir)
	check(t, err)
	log := slog.New(slog.NewTextHandler(s.log, nil))
	store, err := cache.Open(cache.Config{Dir: filepath.Join(dir, "cache"), Log: log})
	check(t, err)
	engine, err := actors.NewEngine(actors.Config{Content: store, Bridge: New(log), Log: log})
	check(t, err)
	fd, err := unix.MemfdCreate("journal", unix.MFD_CLOEXEC)
	check(t, err)
	kept := &actors.Session{Journal: os.NewFile(uintptr(fd), "journal")}
	kept.Keep = func(fuse *os.File) error {
		fd, err := unix.FcntlInt(fuse.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		kept.Fuse = os.NewFile(uintptr(fd), "fuse")
		return err
	}
	s.spec = actors.MountSpec{Origin: origin, Mountpoint: point, Upper: filepath.Join(dir, "upper"), Session: kept}
	s.engine = engine
	s.here, err = engine.Mount(t.Context(), s.spec)
	check(t, err)
	t.Cleanup(func() {
		check(t, engine.Close(context.Background()))
		check(t, store.Close())
		check(t, origin.Close())
		check(t, kept.Fuse.Close())
		check(t, kept.Journal.Close())
		if _, err := Find(point); err == nil {
			t.Error("the mount is left")
		}
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

// handOver has another mount of the engine go on.
func (s *session) handOver() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	err := s.here.HandOver(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // a busy machine; another process would have it die now, and this one cannot
		select {
		case <-s.here.Done():
			err = nil
		case <-ctx.Done():
		}
	}
	check(s.t, err)
	s.here, err = s.engine.Mount(ctx, s.spec)
	check(s.t, err)
}

// Programs do not notice that what serves them changes, however often.
func TestAMountGoesFromEngineToEngine(t *testing.T) {
	s := newSession(t)
	script := `set -e
cd ` + s.spec.Mountpoint + `
exec 3<>held; rm held
for i in $(seq 200); do
	echo step $i
	mkdir d$i; echo $i >d$i/f; mv d$i e$i; test "$(cat e$i/f)" = $i
	ln e$i/f l$i; rm e$i/f; rmdir e$i; mv l$i last; ls >/dev/null; chmod 600 last
	echo $i >&3
done
test "$(cat last)" = 200
test $(wc -l </proc/self/fd/3) = 200`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	out := new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = out, out
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	const engines = 50
	for range engines {
		s.handOver()
	}
	for before := ""; ; before = out.String() {
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		case <-time.After(hang):
			if before != out.String() {
				continue // two thousand processes take their time
			}
			_ = Detach(s.spec.Mountpoint)
			t.Errorf("the program hangs: %s", out)
		}
		break
	}
	if n := strings.Count(s.log.String(), "taken over"); n != engines {
		t.Errorf("taken over %d times", n)
	}
}

// A kernel that cannot send requests again can be taken over from a process that had none, and from no other.
func TestAKernelThatCannotSendRequestsAgain(t *testing.T) {
	init := make([]byte, headerSize+64)
	init[headerSize+16] = resendFlag
	if !resends(init) || resends(make([]byte, headerSize+64)) || resends(nil) {
		t.Error("misread")
	}
	s := newSession(t)
	old := make([]byte, headerSize+64) // Linux 6.8's, as far as it matters here
	binary.NativeEndian.PutUint32(old[4:], opInit)
	binary.NativeEndian.PutUint32(old[headerSize:], 7)
	binary.NativeEndian.PutUint32(old[headerSize+4:], 39)
	for idle, want := range map[bool]error{true: nil, false: actors.ErrNotTaken} {
		c := &conn{log: discard(), mountpoint: s.spec.Mountpoint, transport: newTransport(-1, newRaw(s.here.FS(), actors.AttachOptions{}), false, nil, discard(), nil)}
		if err := c.takeOver(&actors.Taken{Init: old, Idle: idle}); !errors.Is(err, want) {
			t.Errorf("idle %v: %v, want %v", idle, err, want)
		}
	}
}
