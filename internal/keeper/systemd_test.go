package keeper

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// startEngine starts an engine that systemd looks after, and returns what it says.
func startEngine(t *testing.T, systemd *testfs.Supervisor, fuse *os.File, env ...string) (*exec.Cmd, <-chan saying) {
	t.Helper()
	cmd := systemd.Command(append(append(os.Environ(), script+`=[{}]`), env...), os.Args[0], "play-engine")
	cmd.ExtraFiles = append(cmd.ExtraFiles, make([]*os.File, pipeFd-3-len(cmd.ExtraFiles))...)
	cmd.ExtraFiles, cmd.Stderr = append(cmd.ExtraFiles, fuse), &testLog{t: t}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
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
			systemd := testfs.NewSupervisor(t, name)
			defer systemd.Close()
			cmd, said := startEngine(t, systemd, w, "WATCHDOG_USEC=100000")
			systemd.Until("READY=1")
			if got := strings.Join(systemd.Names, " "); got != "journal fuse" {
				t.Errorf("stored when it was ready: %s", got)
			}
			systemd.Until("WATCHDOG=1")
			first := <-said
			for start := 1; start <= 2; start++ {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				cmd, said = startEngine(t, systemd, w)
				second := <-said
				if second.Inode != first.Inode || second.Text != strings.Repeat("x", start+1) || second.Keeper != 0 {
					t.Errorf("%+v after %+v, want the same journal and no keeper", second, first)
				}
				systemd.Until("READY=1")
			}
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			systemd.Until("ANTARES_EXIT=5")
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
