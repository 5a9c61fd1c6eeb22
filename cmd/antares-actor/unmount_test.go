package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func TestUnmountSaysWhoHoldsABusyMount(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	holders := map[string]struct{ script, how string }{
		"working directory": {"exec sleep 1000", "working directory"},
		"open file":         {"exec 9<README.md; cd /; exec sleep 1000 # ", "open file "},
		"mapped program":    {"cp /bin/sleep nap; exec ./nap 1000", "program"},
	}
	for name, h := range holders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := suite.New(t)
			m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Detach: true})
			holder := lab.Background(m.Point, "bash", "-c", h.script)
			await(t, "the holder holds", func() bool {
				return strings.Contains(comm(holder.Process.Pid), "sleep") || strings.Contains(comm(holder.Process.Pid), "nap")
			})
			r := lab.Actor("unmount", m.Point)
			for _, part := range []string{m.Point, fmt.Sprintf("pid %d", holder.Process.Pid), h.how} {
				if !strings.Contains(r.Stderr, part) {
					t.Errorf("%q is missing in %q", part, r.Stderr)
				}
			}
			if r.Code != 3 || strings.Count(r.Stderr, "\n") != 1 {
				t.Errorf("exit status %d, %q, want 3 and one line", r.Code, r.Stderr)
			}
			if out := lab.Shell(m.Point, "cat foo.txt"); out != "2\n" {
				t.Errorf("the mount does not live on: %q", out)
			}
			_ = holder.Process.Kill()
			_ = holder.Wait()
			lab.Actor("unmount", m.Point).OK()
			m.Ended()
		})
	}
}

func comm(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return string(b)
}

// await waits for something that happens soon; the limit is for hangs.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestSignalsUnmount(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		for _, detach := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v detach=%v", sig, detach), func(t *testing.T) {
				t.Parallel()
				lab := suite.New(t)
				m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Detach: detach})
				lab.Shell(m.Point, "echo x > new")
				if err := unix.Kill(m.PID, sig); err != nil {
					t.Fatal(err)
				}
				m.Ended()
				wantContent(t, m.InUpper("new"), "x\n")
			})
		}
	}
}

func TestASignalLeavesABusyMountUntilItIsReleased(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Busy: true})
	holder := lab.Background(m.Point, "sleep", "1000")
	await(t, "the holder holds", func() bool { return strings.Contains(comm(holder.Process.Pid), "sleep") })
	if err := unix.Kill(m.PID, unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the log names the holder", func() bool { return strings.Contains(m.Log(), fmt.Sprintf("pid %d", holder.Process.Pid)) })
	lab.Shell(m.Point, "echo still here > new")
	if err := unix.Kill(m.PID, unix.SIGTERM); err != nil { // the second detaches
		t.Fatal(err)
	}
	await(t, "the mount has left the name space", func() bool { return !m.Mounted() })
	_ = holder.Process.Kill()
	_ = holder.Wait()
	m.Ended()
	wantContent(t, m.InUpper("new"), "still here\n")
}

func TestADeadMountMakesWayForTheNextOne(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		for _, detach := range []bool{false, true} {
			m := lab.Mount(testfs.Spec{Origin: origin, Detach: detach})
			lab.Shell(m.Point, "echo x > new; echo more >> README.md; rm foo.txt")
			m.Kill()
			if _, err := os.Stat(m.Point); err == nil || !strings.Contains(err.Error(), "not connected") {
				t.Errorf("stat of a dead mount: %v, want ENOTCONN", err)
			}
			again := lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper, Point: m.Point})
			wantContent(t, again.Path("new"), "x\n")
			wantContent(t, again.Path("README.md"), "# corpus\nmore\n")
			wantAbsent(t, again.Path("foo.txt"))
			wantEmpty(t, m.Upper+".work/tmp")
			if left := records(m.Point); len(left) != 1 {
				t.Errorf("records of it: %q, want the living server's", left)
			}
			again.Unmount()
		}
	})
}

func TestDetachedMountsOutliveTheirCommandAndAreListed(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin, Detach: true})
		listed := lab.Actor("list").OK()
		for _, part := range []string{m.Point, origin, m.Upper, fmt.Sprint(m.PID), repo.ID(t, "HEAD").String()[:12]} {
			if !strings.Contains(listed, part) {
				t.Errorf("%q is missing in %q", part, listed)
			}
		}
		wantContent(t, m.Path("foo.txt"), "2\n")
		m.Unmount()
		if listed := lab.Actor("list").OK(); strings.Contains(listed, m.Point) {
			t.Errorf("still listed: %q", listed)
		}
		if left := records(m.Point); len(left) > 0 {
			t.Errorf("records are left: %q", left)
		}
	})
}

// records returns the files by which "list" knows of mounts at a path or below it.
func records(path string) []string {
	files, _ := filepath.Glob("/run/antares-actor/" + strings.ReplaceAll(strings.Trim(path, "/"), "/", "-") + "*")
	return files
}

// TestALongMountpointIsKnown: the record of a mount has its mountpoint in its name, which may be longer than a file's name.
func TestALongMountpointIsKnown(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Point: lab.Mkdir(strings.Repeat("d", 200), strings.Repeat("e", 200))})
	if said := lab.Actor("status", m.Point).OK(); !strings.Contains(said, m.Point) {
		t.Errorf("status says %q", said)
	}
	m.Unmount()
}

// TestAnInterruptedUnmountIsNoSuccess: the server may still hold upper then.
func TestAnInterruptedUnmountIsNoSuccess(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	check(t, unix.Kill(m.PID, unix.SIGSTOP))
	t.Cleanup(func() { _ = unix.Kill(m.PID, unix.SIGCONT) })
	cmd := lab.Background("", lab.Program(), "unmount", m.Point)
	await(t, "it is unmounted", func() bool { return !m.Mounted() })
	check(t, cmd.Process.Signal(unix.SIGINT))
	if err := cmd.Wait(); fmt.Sprint(err) != "exit status 3" {
		t.Errorf("unmount ended with %v, want status 3", err)
	}
	check(t, unix.Kill(m.PID, unix.SIGCONT))
	m.Ended()
}

// TestAPasswordIsNotShownToOthers: the record of a mount can be read by all.
func TestAPasswordIsNotShownToOthers(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: strings.Replace(lab.Mono(repo.Dir), "http://", "http://user:secret@", 1)})
	for _, record := range records(m.Point) {
		if text := read(t, record); strings.Contains(text, "secret") || !strings.Contains(text, "http://user:") {
			t.Errorf("%s says %s", record, text)
		}
	}
	if text := m.Log(); strings.Contains(text, "secret") {
		t.Errorf("the log says %s", text)
	}
}

func TestUmountCommandEndsTheServer(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	lab.Shell(m.Point, "echo x > new")
	lab.Run(testfs.Command{}, "umount", m.Point).OK()
	m.Ended()
	again := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: m.Upper}) // nobody holds upper any more
	lab.Actor("umount", again.Point).OK()
	again.Ended()
	if out, err := exec.Command("mountpoint", "-q", again.Point).CombinedOutput(); err == nil {
		t.Errorf("it is still a mountpoint: %s", out)
	}
}

// A container that was started while something was mounted has a copy of the mount.
func TestUnmountSaysWhoseNameSpaceKeepsTheServer(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir, Detach: true})
	holder := lab.Background("", "env", append(asAlone(m.Point), os.Args[0], "sleep", "1000")...)
	await(t, "it has a name space", func() bool { return strings.Contains(comm(holder.Process.Pid), "sleep") })
	r := lab.Actor("unmount", m.Point)
	if want := fmt.Sprintf("pid %d, mounted on %s in its mount name space", holder.Process.Pid, m.Point); r.Code != 3 || !strings.Contains(r.Stderr, want) {
		t.Errorf("exit status %d, %q, want 3 and %q", r.Code, r.Stderr, want)
	}
	_ = holder.Process.Kill()
	_ = holder.Wait()
	m.Ended()
}
