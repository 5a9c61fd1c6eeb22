package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/control"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// fake notes what it is asked for.
type fake struct {
	asked string
	err   error
}

var _ control.Mount = (*fake)(nil)

func (f *fake) Mountpoint() string  { return "/mnt" }
func (f *fake) Commit() object.ID   { return object.ID{1} }
func (f *fake) Stats() actors.Stats { return actors.Stats{State: actors.Ready, Inodes: 3} }

func (f *fake) Changelist() (actors.Changelist, []actors.PathChange) {
	return actors.Changelist{Link: "L"}, []actors.PathChange{{Action: remote.Renamed, Path: "b", OldPath: "a"}}
}

func (f *fake) did(what string, args ...any) (actors.Switched, error) {
	f.asked = fmt.Sprintf(what, args...)
	return actors.Switched{From: object.ID{1}, To: object.ID{2}, Names: 4}, f.err
}

func (f *fake) Switch(_ context.Context, rev string) (actors.Switched, error) {
	return f.did("switch %s", rev)
}

func (f *fake) SetChangelist(_ context.Context, cl actors.Changelist) (actors.Switched, error) {
	return f.did("set %s %s", cl.Link, cl.Path)
}

func (f *fake) ClearChangelist(context.Context) (actors.Switched, error) { return f.did("clear") }

func (f *fake) Warm(_ context.Context, patterns []string, progress func(actors.WarmProgress)) error {
	for i := range 3 {
		progress(actors.WarmProgress{Files: 3, Done: uint64(i) + 1})
	}
	_, err := f.did("warm %v", patterns)
	return err
}

func serve(t *testing.T) (*fake, string) {
	t.Helper()
	f, path := &fake{}, filepath.Join(t.TempDir(), "sock")
	s, err := control.Listen(path, f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the socket stays: %v", err)
		}
	})
	return f, path
}

func TestWhatIsAskedComesToTheMount(t *testing.T) {
	f, path := serve(t)
	c := control.Dial(path)
	for want, ask := range map[string]func() (control.Switched, error){
		"switch v1":  func() (control.Switched, error) { return c.Switch(t.Context(), "v1") },
		"set L a/b":  func() (control.Switched, error) { return c.SetChangelist(t.Context(), "L", "a/b") },
		"clear":      func() (control.Switched, error) { return c.ClearChangelist(t.Context()) },
		"switch é\"": func() (control.Switched, error) { return c.Switch(t.Context(), "é\"") },
	} {
		did, err := ask()
		if err != nil || f.asked != want || did.Names != 4 || did.To != (object.ID{2}).String() {
			t.Errorf("%q, want %q: %+v, %v", f.asked, want, did, err)
		}
	}
	s, err := c.Status(t.Context())
	if err != nil || s.Mountpoint != "/mnt" || s.State != "Ready" || s.Inodes != 3 || s.Changelist.Changed[0].OldPath != "a" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestErrorsTellWhoseFaultItIs(t *testing.T) {
	f, path := serve(t)
	c := control.Dial(path)
	for cause, want := range map[error]error{
		remote.ErrUnknownRev: control.ErrRefused, actors.ErrNoChangelists: control.ErrRefused,
		remote.ErrUnavailable: control.ErrFailed, actors.ErrPanic: control.ErrFailed,
	} {
		f.err = fmt.Errorf("switch: %w: because", cause)
		if _, err := c.Switch(t.Context(), "x"); !errors.Is(err, want) || !strings.Contains(err.Error(), "because") {
			t.Errorf("%v comes as %v, want %v", cause, err, want)
		}
	}
	if _, err := control.Dial(path + "x").Status(t.Context()); !errors.Is(err, control.ErrNobody) {
		t.Errorf("without a server: %v", err)
	}
}

func TestWarmTellsHowFarItIsAndHowItEnded(t *testing.T) {
	f, path := serve(t)
	c := control.Dial(path)
	var last control.WarmProgress
	follow := func(p control.WarmProgress) { last = p }
	if err := c.Warm(t.Context(), []string{"a/**", "b"}, follow); err != nil || f.asked != "warm [a/** b]" || last.Here != 3 || !last.Done {
		t.Errorf("%q, %+v, %v", f.asked, last, err)
	}
	for cause, want := range map[error]error{actors.ErrNoMatch: control.ErrRefused, actors.ErrOrigin: control.ErrFailed} {
		f.err = cause
		if err := c.Warm(t.Context(), nil, follow); !errors.Is(err, want) || last.Done {
			t.Errorf("%v comes as %v", cause, err)
		}
	}
}

func TestOnlyItsUserMayTouchTheSocket(t *testing.T) {
	_, path := serve(t)
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

// TestASocketThatWasLeftIsReplaced: that of a server which was killed, and whose process number another one has by now, as is
// usual in containers. One at which somebody listens stays.
func TestASocketThatWasLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "7.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	_ = left.Close()
	s, err := control.Listen(path, &fake{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if other, err := control.Listen(path, &fake{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Errorf("took the socket of another server away")
		_ = other.Close()
	}
	if _, err := control.Dial(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestStrangersAreTurnedAway: also where the socket has come to be open to all.
func TestStrangersAreTurnedAway(t *testing.T) {
	_, path := serve(t)
	for name, mode := range map[string]os.FileMode{path: 0o666, filepath.Dir(path): 0o755, filepath.Dir(filepath.Dir(path)): 0o755} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	if said := askAs(t, path, os.Geteuid()); !strings.HasPrefix(said, "HTTP/1.1 200 ") {
		t.Errorf("its own user is told %q", said)
	}
	if said := askAs(t, path, 65534); said != "" {
		t.Errorf("a stranger is told %q", said)
	}
}

// askAs asks for the status as a user, which root can be for a thread.
func askAs(t *testing.T, path string, uid int) string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid int) {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			t.Fatalf("become user %d: %v", uid, errno)
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	become(uid)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	become(os.Getuid())
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Sendto(fd, []byte("GET /v1/mount HTTP/1.1\r\nHost: mount\r\nConnection: close\r\n\r\n"), unix.MSG_NOSIGNAL, nil) // a stranger may be gone
	b := make([]byte, 100)
	n, _ := unix.Read(fd, b)
	return string(b[:max(n, 0)])
}

func TestWhatIsNoRequestIsRefused(t *testing.T) {
	_, path := serve(t)
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	defer client.CloseIdleConnections()
	for body, want := range map[string]int{`{"rev": 1}`: 400, `{"ref": "x"}`: 400, `{`: 400, `{"rev": "` + strings.Repeat("x", 1<<20) + `"}`: 400, `{"rev": "x"}`: 200} {
		resp, err := client.Post("http://mount/v1/mount/switch", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%.30s: %d %s, want %d", body, resp.StatusCode, text, want)
		}
	}
}
