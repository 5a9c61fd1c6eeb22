package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func TestRunPassesTheCommandsStatusThrough(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for command, want := range map[string]int{
		"true": 0, "exit 7": 7, "exit 255": 255, "exec /nonexistent/program": 127, "kill -TERM $$": 128 + 15, "kill -KILL $$": 128 + 9,
		"kill -SEGV $$": 128 + 11,
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			runs(t, repo.Dir, want, "bash", "-c", command)
		})
	}
	t.Run("program that is missing", func(t *testing.T) { runs(t, repo.Dir, 127, "/nonexistent/program") })
	t.Run("program that is none", func(t *testing.T) { runs(t, repo.Dir, 126, "./README.md") })
}

// runs runs a command in a mount by "run", and checks its status and that nothing is left.
func runs(t *testing.T, repo string, want int, command ...string) {
	t.Helper()
	lab := suite.New(t)
	lab.Mkdir("upper")
	r := lab.Actor(append([]string{"run", "--origin", "git:" + repo, "--upper", lab.Path("upper"), "--"}, command...)...)
	if r.Code != want {
		t.Errorf("exit status %d, want %d: %s", r.Code, want, r.Stderr)
	}
	wantNothingOf(t, lab)
}

// wantNothingOf checks that no mount, mountpoint or process of a lab is left.
func wantNothingOf(t *testing.T, lab *testfs.Lab) {
	t.Helper()
	if points, err := testfs.Mounts(lab.Dir); err != nil || len(points) > 0 {
		t.Errorf("still mounted: %v, %v", points, err)
	}
	wantEmpty(t, lab.Path("home/.local/state/antares-actor/mnt"))
	await(t, "helpers end", func() bool { return len(testfs.Processes(lab.Dir)) == 0 })
}

func TestRunGivesTheCommandItsPlaceAndKeepsItsChanges(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		upper := lab.Path("upper")
		r := lab.Run(testfs.Command{Env: []string{"MINE=1"}, Stdin: "typed\n"}, lab.Program(), "run", "--origin", origin, "--upper", upper, "--",
			"bash", "-euc", `
				test "$PWD" = "$ANTARES_MOUNT" -a "$(pwd -P)" = "$PWD" -a -f README.md
				test "$MINE" = 1 -a "$BUCK2_ALLOW_ROOT" = 1
				cat > typed; echo changed >> README.md; rm foo.txt
				echo "upper $ANTARES_UPPER"; echo mount $ANTARES_MOUNT; echo complaint >&2`)
		out := r.OK()
		if !strings.HasPrefix(out, "upper "+upper+"\nmount ") {
			t.Errorf("standard output has %q", out)
		}
		if !strings.Contains(r.Stderr, "complaint\n") || !strings.Contains(r.Stderr, upper) {
			t.Errorf("standard error has %q, want the command's and where the changes go", r.Stderr)
		}
		wantContent(t, filepath.Join(upper, "typed"), "typed\n")
		wantContent(t, filepath.Join(upper, "README.md"), "# corpus\nchanged\n")
		_, mountpoint, _ := strings.Cut(strings.TrimSpace(out), "mount ")
		wantAbsent(t, mountpoint)
	})
}

func TestRunStopsWithItsCommandOnASignal(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	ready := lab.Path("ready")
	cmd := lab.Background("", lab.Program(), "run", "--origin", "git:"+repo.Dir, "--upper", lab.Path("upper"), "--",
		"bash", "-c", "trap 'echo told > told; exit 5' TERM; touch "+ready+"; while :; do sleep 0.01; done")
	await(t, "the command runs", func() bool { _, err := os.Stat(ready); return err == nil })
	_ = cmd.Process.Signal(unix.SIGTERM)
	if err := cmd.Wait(); fmt.Sprint(err) != "exit status 5" {
		t.Errorf("run ended with %v, want the command's status 5", err)
	}
	wantContent(t, lab.Path("upper/told"), "told\n")
	wantNothingOf(t, lab)
}

func TestRunNamesWhoStillUsesTheMount(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	point := lab.Mkdir("mnt")
	pidFile := lab.Path("pid")
	r := lab.Actor("run", "--origin", "git:"+repo.Dir, "--upper", lab.Path("upper"), "--mountpoint", point, "--",
		"bash", "-c", "sleep 1000 >/dev/null 2>&1 & echo $! > "+pidFile)
	pid := strings.TrimSpace(read(t, pidFile))
	if r.Code != 3 || !strings.Contains(r.Stderr, "pid "+pid) || !strings.Contains(r.Stderr, "working directory") {
		t.Errorf("exit status %d, %q, want 3 and pid %s", r.Code, r.Stderr, pid)
	}
	lab.Shell("", "kill "+pid)
	await(t, "the holder has gone", func() bool { return lab.Actor("unmount", point).Code == 0 })
	await(t, "helpers end", func() bool { return len(testfs.Processes(lab.Dir)) == 0 })
}

// TestRunTakesACommandThatLooksLikeAMount: without "--", a program with -o is called as mount.fuse calls helpers.
func TestRunTakesACommandThatLooksLikeAMount(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	r := lab.Run(testfs.Command{Dir: repo.Dir}, lab.Program(), "run", "/bin/bash", "-o", "errexit", "-c", "exit 7")
	if r.Code != 7 {
		t.Errorf("exit status %d, want 7: %s", r.Code, r.Stderr)
	}
	wantNothingOf(t, lab)
}

func TestNumbersThatCannotBeWrittenLeaveNothing(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	lab.Actor("run", "--origin", "git:"+repo.Dir, "--stats", lab.Mkdir("numbers"), "--", "true").OK()
	if left, err := filepath.Glob(lab.Path("numbers?*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	wantNothingOf(t, lab)
}

// TestEphemeralRemovesNoMoreThanItsOwn: the name that is removed is the one that was looked at.
func TestEphemeralRemovesNoMoreThanItsOwn(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	other := lab.Mkdir("home", ".local", "state", "antares-actor", "uppers", "other", "upper")
	up := filepath.Dir(filepath.Dir(other)) + "/mine/.."
	if r := lab.Actor("mount", "--no-keeper", "--origin", "git:"+repo.Dir, "--ephemeral", "--upper", up, lab.Mkdir("mnt")); r.Code != 2 {
		t.Errorf("exit status %d, want 2: %s", r.Code, r.Stderr)
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("another mount's changes: %v", err)
	}
}

// TestTheServerHasNoLimitOnTheSizeOfFiles: the limit of whoever mounts is for what he writes himself.
func TestTheServerHasNoLimitOnTheSizeOfFiles(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	out := lab.Run(testfs.Command{}, "bash", "-euc", `
		ulimit -S -f 64
		"$0" run --origin "$1" --upper "$2" -- bash -euc '
			head -c 1000000 /dev/zero 2>/dev/null > limited || stat -c %s limited
			ulimit -S -f unlimited; head -c 1000000 /dev/zero > big; truncate -s 2M long; stat -c %s big long'`,
		lab.Program(), "git:"+helloRepo(t).Dir, lab.Path("upper")).OK()
	if out != "65536\n1000000\n2097152\n" {
		t.Errorf("sizes %q", out)
	}
}
