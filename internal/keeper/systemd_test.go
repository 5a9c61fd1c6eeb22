package keeper

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager does what systemd does for a unit with a descriptor store.
type manager struct {
	t      *testing.T
	conn   *net.UnixConn
	name   string
	stored stored
}

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, conn: conn, name: name}
	t.Cleanup(func() {
		_ = conn.Close()
		m.stored.close()
	})
	return m
}

// start starts the engine with what is stored, and returns what it says when it is ready.
func (m *manager) start(fuse *os.File, env ...string) (*exec.Cmd, <-chan saying) {
	m.t.Helper()
	// The shell becomes the engine, so that LISTEN_PID is its process.
	cmd := exec.Command("bash", "-c", `export LISTEN_PID=$$; exec "$0" play-engine`, os.Args[0])
	cmd.Env = append(append(os.Environ(), script+`=[{}]`, "NOTIFY_SOCKET="+m.name, "FDSTORE=16"), env...)
	cmd.ExtraFiles = make([]*os.File, pipeFd-3)
	for i, fd := range m.stored.fds {
		copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			m.t.Fatal(err)
		}
		cmd.ExtraFiles[i] = os.NewFile(uintptr(copied), m.stored.names[i])
		defer func() { _ = cmd.ExtraFiles[i].Close() }()
	}
	if len(m.stored.fds) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(m.stored.fds)), "LISTEN_FDNAMES="+m.stored.list())
	}
	cmd.ExtraFiles, cmd.Stderr = append(cmd.ExtraFiles, fuse), &testLog{t: m.t}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = cmd.Process.Kill() })
	said := make(chan saying, 16)
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			var line saying
			if json.Unmarshal(in.Bytes(), &line) == nil {
				said <- line
			}
		}
	}()
	return cmd, said
}

// until takes messages until one is as wanted.
func (m *manager) until(what string, want func(message) bool) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil { // for hangs
		m.t.Fatal(err)
	}
	for b, oob := make([]byte, 4096), make([]byte, 256); ; {
		n, oobn, _, _, err := m.conn.ReadMsgUnix(b, oob)
		if err != nil {
			m.t.Fatalf("waited in vain for %s: %v", what, err)
		}
		got := parse(b[:n])
		fds := descriptors(oob[:oobn])
		switch {
		case got.store && len(fds) == 1:
			if err := m.stored.put(got.name, fds[0]); err != nil {
				m.t.Error(err)
			}
		case got.remove:
			m.stored.remove(got.name)
		case len(fds) > 0:
			m.t.Errorf("%q came with %d descriptors", b[:n], len(fds))
		}
		if want(got) {
			return
		}
	}
}

func TestSystemdCanTakeTheKeepersPlace(t *testing.T) {
	t.Parallel()
	for kind, name := range map[string]string{
		"path": filepath.Join(t.TempDir(), "notify"), "abstract": fmt.Sprintf("@antares-actor-test-%d", os.Getpid()),
	} {
		t.Run(kind, func(t *testing.T) {
			r, w, err := os.Pipe() // stands for the mount, see newStage
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close(); _ = w.Close() }()
			m := newManager(t, name)
			cmd, said := m.start(w, "WATCHDOG_USEC=100000")
			m.until("READY", func(got message) bool { return got.ready })
			if got := m.stored.list(); got != "journal:fuse" {
				t.Errorf("stored when it was ready: %q", got)
			}
			m.until("WATCHDOG", func(got message) bool { return got.alive })
			first := <-said
			for start := 1; start <= 2; start++ {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				cmd, said = m.start(w)
				second := <-said
				if second.Inode != first.Inode || second.Text != strings.Repeat("x", start+1) || second.Keeper != 0 {
					t.Errorf("%+v after %+v, want the same journal and no keeper", second, first)
				}
				m.until("READY", func(got message) bool { return got.ready })
			}
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			m.until("STOPPING", func(got message) bool { return got.stopping && got.exits && got.status == 5 })
			_ = cmd.Wait()
		})
	}
}

// A process that was started by one that systemd supervises is not supervised itself.
func TestAnothersEnvironmentIsNotTaken(t *testing.T) {
	for name, value := range map[string]string{"LISTEN_FDS": "3", "LISTEN_PID": "1", "LISTEN_FDNAMES": "a:b:c", "NOTIFY_SOCKET": "/nonexistent"} {
		t.Setenv(name, value)
	}
	env := takeEnvironment()
	if got, err := received(env); err != nil || len(got.fds) > 0 {
		t.Errorf("took %v, %v", got, err)
	}
	if left := os.Getenv("LISTEN_FDS") + os.Getenv("NOTIFY_SOCKET"); left != "" {
		t.Errorf("left in the environment: %q", left)
	}
	if got := Unsupervised([]string{"A=1", "LISTEN_FDS=1", "FDSTORE=1", "B="}); strings.Join(got, " ") != "A=1 B=" {
		t.Errorf("unsupervised: %q", got)
	}
}
