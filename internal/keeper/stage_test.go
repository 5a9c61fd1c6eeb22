package keeper

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stage is a keeper with its engines.
type stage struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan saying
	fuse  *os.File // the end of a pipe; closing it is the mount's end
	pids  map[int]bool
	heard map[string]int // how often what was said
}

func newStage(t *testing.T, env []string, acts ...act) *stage {
	t.Helper()
	b, err := json.Marshal(acts)
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	s := &stage{t: t, lines: make(chan saying, 4096), fuse: r, pids: make(map[int]bool), heard: make(map[string]int)}
	s.cmd = exec.Command(os.Args[0], "play-keeper")
	s.cmd.Env = append(append(os.Environ(), script+"="+string(b)), env...)
	s.cmd.Stderr = &testLog{t: t}
	s.cmd.ExtraFiles = append(make([]*os.File, pipeFd-3), w)
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.pids[s.cmd.Process.Pid] = true
	go func() {
		defer close(s.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			var line saying
			if json.Unmarshal(in.Bytes(), &line) == nil {
				s.lines <- line
			}
		}
	}()
	t.Cleanup(s.end)
	return s
}

// testLog is the processes' standard error.
type testLog struct{ t *testing.T }

func (l *testLog) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, "level=") || strings.HasPrefix(line, "panic") || strings.HasPrefix(line, "fatal") {
			fmt.Fprint(l.t.Output(), line)
		}
	}
	return len(b), nil
}

// next returns the next thing of this kind that somebody says.
func (s *stage) next(event string) saying {
	s.t.Helper()
	limit := time.After(60 * time.Second) // for hangs
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.t.Fatalf("all ended before somebody said %q", event)
			}
			s.pids[line.PID] = true
			s.heard[line.Event]++
			if line.Event == event {
				return line
			}
			s.t.Logf("heard %+v", line)
		case <-limit:
			s.t.Fatalf("waited in vain for %q", event)
		}
	}
}

// wantStatus waits for the keeper's end.
func (s *stage) wantStatus(want int) {
	s.t.Helper()
	for line := range s.lines {
		s.pids[line.PID] = true
		s.heard[line.Event]++
		s.t.Logf("heard %+v", line)
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Error(err)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != want {
		s.t.Errorf("keeper ended with status %d, want %d", got, want)
	}
}

// end ends all that is left: without a mount no engine is started again.
func (s *stage) end() {
	_ = s.fuse.Close()
	for {
		for pid := range s.pids {
			if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); exe == program() {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		select {
		case line, ok := <-s.lines:
			if !ok {
				_ = s.cmd.Wait()
				return
			}
			s.pids[line.PID] = true
			s.pids[line.Keeper] = true
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func kill(t *testing.T, pid int, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, s); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}
