package gitrepo_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

func TestKilledProcessesAreReplaced(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	for range 3 {
		if _, err := r.Pin(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		killAll(t, r)
	}
}

func TestProcessKilledInMidBody(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	b, err := r.Blob(t.Context(), repo.ID(t, "HEAD:large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := io.CopyN(io.Discard, b, 1000); err != nil {
		t.Fatal(err)
	}
	killAll(t, r)
	n, err := io.Copy(io.Discard, b)
	wantError(t, err, remote.ErrUnavailable, "blob")
	if n+1000 >= origintest.LargeSize {
		t.Errorf("%d bytes came out of a killed process", n)
	}
	if _, err := r.Pin(t.Context(), ""); err != nil {
		t.Errorf("after that: %v", err)
	}
}

func TestCloseEndsEveryProcess(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	var open []remote.Blob
	for range 4 { // streams hold processes besides the pool's
		b, err := r.Blob(t.Context(), repo.ID(t, "HEAD:large.bin"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, b)
	}
	pids := r.Pids()
	if len(pids) < 4 {
		t.Fatalf("%d processes for 4 streams", len(pids))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids { // a zombie would still take a signal
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d after close: %v", pid, err)
		}
	}
	for _, b := range open {
		if _, err := io.Copy(io.Discard, b); err == nil {
			t.Error("a stream ended well after close")
		}
		b.Close()
	}
	if _, err := r.Pin(t.Context(), ""); err == nil {
		t.Error("pin after close")
	}
}

func TestIdleProcessesAreBounded(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	for range 3 {
		var all []remote.Blob
		for range 20 {
			b, err := r.Blob(t.Context(), repo.ID(t, "HEAD:large.bin"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		for _, b := range all {
			b.Close()
		}
		r.Settle()
		if n := len(r.Pids()); n > 8 {
			t.Errorf("%d idle processes are kept", n)
		}
	}
}

// TestCancelInMidAnswer cancels at random points of many requests; the answers of the later ones must be their own.
func TestCancelInMidAnswer(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	ids := map[string]object.ID{}
	for _, path := range []string{"README.md", "foo.txt", "dir/a/same", "large.bin"} {
		ids[path] = repo.ID(t, "HEAD:"+path)
	}
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		for path, id := range ids {
			b, err := r.Blob(ctx, id)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("round %d: %s: %v", i, path, err)
				}
				continue
			}
			h := object.NewHash(object.Blob, b.Size)
			if _, err := io.Copy(h, b); err == nil && object.ID(h.Sum(nil)) != id {
				t.Fatalf("round %d: %s has another's bytes", i, path)
			}
			b.Close()
		}
		cancel()
	}
}

func TestProcessesKeepNoDirectoryBusy(t *testing.T) {
	repo := origintest.NewRepo(t)
	r := open(t, repo.Dir)
	if _, err := r.Pin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for _, pid := range r.Pids() {
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || cwd != "/" {
			t.Errorf("process %d is in %q, %v", pid, cwd, err)
		}
		if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
			t.Errorf("process %d is in group %d, %v: a terminal's interrupt would reach it", pid, pgid, err)
		}
	}
}

func TestDamagedObjectsAreErrors(t *testing.T) {
	repo := origintest.NewRepo(t)
	tree, blob := repo.ID(t, "HEAD:dir"), repo.ID(t, "HEAD:README.md")
	for _, id := range []object.ID{tree, blob} {
		path := filepath.Join(repo.Dir, ".git/objects", id.String()[:2], id.String()[2:])
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("not zlib"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, repo.Dir)
	if got, err := r.Tree(t.Context(), remote.TreeRef{ID: tree}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("damaged tree: %v, %v", got, err)
	}
	if _, err := r.Blob(t.Context(), blob); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("damaged blob: %v", err)
	}
	if _, err := r.Pin(t.Context(), ""); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestProcessesDieWithUs kills a process that has a repository open and waits until its child is gone. The process is
// this test binary again.
func TestProcessesDieWithUs(t *testing.T) {
	if dir := os.Getenv("GITREPO_TEST_HOLD"); dir != "" {
		hold(t, dir)
		return
	}
	repo := origintest.NewRepo(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcessesDieWithUs$")
	cmd.Env = append(os.Environ(), "GITREPO_TEST_HOLD="+repo.Dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "pid %d", &pid); err != nil || scanErr != nil {
		t.Fatalf("%q: %v, %v", line, err, scanErr)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for running(pid) { // the test's own time limit ends this if it never happens
		time.Sleep(time.Millisecond)
	}
}

func hold(t *testing.T, dir string) {
	r := open(t, dir)
	if _, err := r.Pin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("pid %d\n", r.Pids()[0])
	select {}
}

// running tells whether a process of this id exists and is no zombie (whoever reaps orphans here may be slow).
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

func killAll(t *testing.T, r *gitrepo.Repo) {
	t.Helper()
	for _, pid := range r.Pids() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v: %s", args, err, out)
	}
}

func wantError(t *testing.T, err, kind error, names string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), names) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want %v naming %q in one line", err, kind, names)
	}
}

// TestACancelledNameDoesNotWaitForGrandchildren: the git that resolves a name may have started another program, to fetch what a
// partial clone lacks, which outlives it with its standard streams.
func TestACancelledNameDoesNotWaitForGrandchildren(t *testing.T) {
	repo := origintest.NewRepo(t)
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nsleep 1000 &\necho $! > " + started + "\nwait\n"
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r := open(t, repo.Dir)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		text, err := os.ReadFile(started)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid == 0 {
			t.Errorf("%q, %v", text, err)
		}
		cancel()
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	}()
	if _, err := r.Pin(ctx, "main"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
}
