package testfs

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Supervisor does what systemd does for a service with a descriptor store: see sd_notify(3) and sd_listen_fds(3).
type Supervisor struct {
	t    testing.TB
	conn *net.UnixConn
	name string

	Names []string   // of what is stored
	files []*os.File // what is
}

// NewSupervisor listens at a path, or with @ in front at an abstract address.
func NewSupervisor(t testing.TB, name string) *Supervisor {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Supervisor{t: t, conn: conn, name: name}
}

// Close lets go of what is stored.
func (s *Supervisor) Close() {
	for _, f := range s.files {
		_ = f.Close()
	}
	s.Names, s.files = nil, nil
}

// Command returns a service's command, which gets what is stored. The shell becomes the program, so that LISTEN_PID is its
// process.
func (s *Supervisor) Command(env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("bash", append([]string{"-c", `export LISTEN_PID=$$; exec "$0" "$@"`, name}, args...)...)
	cmd.Env = append(slices.Clone(env), "NOTIFY_SOCKET="+s.name, "FDSTORE=16")
	if len(s.files) > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(s.files)), "LISTEN_FDNAMES="+strings.Join(s.Names, ":"))
		cmd.ExtraFiles = slices.Clone(s.files)
	}
	return cmd
}

// Until takes messages until one has a line.
func (s *Supervisor) Until(line string) {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(endLimit)); err != nil {
		s.t.Fatal(err)
	}
	for b, oob := make([]byte, 4096), make([]byte, 256); ; {
		n, oobn, _, _, err := s.conn.ReadMsgUnix(b, oob)
		if err != nil {
			s.t.Fatalf("waited in vain for %s: %v", line, err)
		}
		lines := strings.Split(string(b[:n]), "\n")
		s.store(lines, oob[:oobn])
		if slices.Contains(lines, line) {
			return
		}
	}
}

// store stores what came with a message, or forgets what it names.
func (s *Supervisor) store(lines []string, oob []byte) {
	s.t.Helper()
	name := ""
	for _, line := range lines {
		if value, ok := strings.CutPrefix(line, "FDNAME="); ok {
			name = value
		}
	}
	if at := slices.Index(s.Names, name); at >= 0 && slices.Contains(lines, "FDSTOREREMOVE=1") {
		_ = s.files[at].Close()
		s.Names, s.files = slices.Delete(s.Names, at, at+1), slices.Delete(s.files, at, at+1)
	}
	if len(oob) == 0 {
		return
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range messages {
		fds, _ := unix.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			s.Names, s.files = append(s.Names, name), append(s.files, os.NewFile(uintptr(fd), name))
		}
	}
}
