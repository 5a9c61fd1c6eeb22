package testfs

import (
	"bytes"
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
	sent chan notice

	Names []string   // of what is stored
	files []*os.File // what is
}

// notice is a message to a supervisor.
type notice struct {
	lines []string
	oob   []byte
}

// NewSupervisor listens at a path, or with @ in front at an abstract address. As systemd does it takes messages at any time: the
// socket holds ten, and who sends the next one waits.
func NewSupervisor(t testing.TB, name string) *Supervisor {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Supervisor{t: t, conn: conn, name: name, sent: make(chan notice, 1<<16)}
	go s.listen()
	t.Cleanup(func() {
		_ = conn.Close()
		for n := range s.sent {
			s.store(n)
		}
		s.Close()
	})
	return s
}

func (s *Supervisor) listen() {
	defer close(s.sent)
	for b, oob := make([]byte, 4096), make([]byte, 256); ; {
		n, oobn, _, _, err := s.conn.ReadMsgUnix(b, oob)
		if err != nil {
			return
		}
		s.sent <- notice{strings.Split(string(b[:n]), "\n"), bytes.Clone(oob[:oobn])}
	}
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
	limit := time.After(endLimit)
	for {
		select {
		case n := <-s.sent:
			s.store(n)
			if slices.Contains(n.lines, line) {
				return
			}
		case <-limit:
			s.t.Fatalf("waited in vain for %s", line)
		}
	}
}

// store stores what came with a message, or forgets what it names.
func (s *Supervisor) store(n notice) {
	s.t.Helper()
	name := ""
	for _, line := range n.lines {
		if value, ok := strings.CutPrefix(line, "FDNAME="); ok {
			name = value
		}
	}
	if at := slices.Index(s.Names, name); at >= 0 && slices.Contains(n.lines, "FDSTOREREMOVE=1") {
		_ = s.files[at].Close()
		s.Names, s.files = slices.Delete(s.Names, at, at+1), slices.Delete(s.files, at, at+1)
	}
	if len(n.oob) == 0 {
		return
	}
	messages, err := unix.ParseSocketControlMessage(n.oob)
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
