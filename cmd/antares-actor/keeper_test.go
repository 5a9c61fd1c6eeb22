package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func TestAMountOutlivesItsKeeper(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for _, detach := range []bool{false, true} {
		lab := suite.New(t)
		m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Detach: detach})
		engine := m.Engine()
		open, err := os.Create(m.Path("open"))
		check(t, err)
		for range 3 {
			m.KillKeeper()
			if _, err := open.WriteString("line\n"); err != nil {
				t.Errorf("a file that was open: %v", err)
			}
		}
		check(t, open.Close())
		if got := lab.Shell(m.Point, "cat open"); got != "line\nline\nline\n" { // a child: who starts when the signal comes below holds nothing of this process
			t.Errorf("it has %q", got)
		}
		if got := m.Engine(); got != engine || got == m.PID {
			t.Errorf("engine %d, keeper %d; want the engine %d and a keeper", got, m.PID, engine)
		}
		if left := records(m.Point); len(left) != 1 {
			t.Errorf("records of it: %q, want the new keeper's", left)
		}
		if detach {
			check(t, unix.Kill(m.PID, unix.SIGTERM)) // it passes signals on as the first one did
			m.Ended()
		} else {
			lab.Actor("unmount", m.Point).OK()
			m.Ended()
		}
		if left := records(m.Point); len(left) > 0 {
			t.Errorf("records are left: %q", left)
		}
	}
}

func TestAMountOutlivesItsEngine(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin, Detach: strings.HasPrefix(origin, "git:")})
		open, err := os.Create(m.Path("open"))
		check(t, err)
		check(t, os.Remove(m.Path("open"))) // it is nowhere but in this process
		for i := range 6 {
			if i%3 == 2 { // the engine's next parent is the keeper that it has started
				m.KillKeeper()
			}
			killed := m.KillEngine()
			if _, err := open.WriteString("line\n"); err != nil {
				t.Errorf("a file that was open: %v", err)
			}
			lab.Shell(m.Point, "echo more >> README.md; mkdir made; mv made again; rmdir again; grep -q main third-party/buck-hello/main.rs")
			m.NextEngine(killed)
		}
		b := make([]byte, 100)
		if n, err := open.ReadAt(b, 0); string(b[:n]) != strings.Repeat("line\n", 6) {
			t.Errorf("the open file has %q (%v)", b[:n], err)
		}
		check(t, open.Close())
		wantContent(t, m.Path("README.md"), "# corpus\n"+strings.Repeat("more\n", 6))
		if left := records(m.Point); len(left) != 1 {
			t.Errorf("records of it: %q, want one", left)
		}
		lab.Actor("unmount", m.Point).OK()
		m.Ended()
		if left := records(m.Point); len(left) > 0 {
			t.Errorf("records are left: %q", left)
		}
	})
}

// With a descriptor store systemd is the keeper.
func TestAMountOutlivesItsEngineUnderSystemd(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	repo, point := helloRepo(t), lab.Mkdir("mnt")
	systemd := testfs.NewSupervisor(t, lab.Path("notify"))
	defer systemd.Close()
	start := func() *exec.Cmd {
		cmd := systemd.Command(append(lab.Env(), "WATCHDOG_USEC=2000000"), lab.Program(), "mount", "--origin", "git:"+repo.Dir,
			"--upper", lab.Path("upper"), "--log-file", lab.Path("log"), point)
		check(t, cmd.Start())
		systemd.Until("READY=1")
		return cmd
	}
	t.Cleanup(func() { _ = testfs.Unmount(point) })
	server := start()
	systemd.Until("WATCHDOG=1")
	for range 3 {
		check(t, server.Process.Kill())
		_ = server.Wait()
		server = start() // this process holds no file of the mount: between fork and exec its child would close it, and nobody would answer
		lab.Shell(point, "echo line >> file; mkdir made; rmdir made")
	}
	wantContent(t, point+"/file", "line\nline\nline\n")
	if got := strings.Join(systemd.Names, " "); got != "journal fuse" {
		t.Errorf("stored: %s", got)
	}
	lab.Actor("unmount", point).OK()
	systemd.Until("ANTARES_EXIT=0")
	if err := server.Wait(); err != nil {
		t.Errorf("server: %v", err)
	}
}

// A signal to the keeper unmounts though the engine that it is for is dead, or has only just begun.
func TestASignalFindsTheNextEngine(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir})
	m.KillEngine()
	check(t, unix.Kill(m.PID, unix.SIGTERM))
	m.Ended()
}

func TestRunOutlivesItsEngine(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	out := lab.Run(testfs.Command{}, lab.Program(), "run", "--origin", "git:"+helloRepo(t).Dir, "--upper", lab.Path("upper"), "--", "bash", "-euc", `
		engine=$("$0" list --json | tr -d ' ",' | awk -F: -v at="$PWD" '$1 == "mountpoint" { mine = $2 == at } $1 == "engine" && mine { print $2 }')
		kill -9 $engine
		echo changed >> README.md; cat README.md`, lab.Program()).OK()
	if out != "# corpus\nchanged\n" {
		t.Errorf("the command saw %q", out)
	}
	wantNothingOf(t, lab)
}

func TestAMountWithoutAKeeperIsOneProcess(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for _, detach := range []bool{false, true} {
		lab := suite.New(t)
		m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Detach: detach, Flags: []string{"--no-keeper"}})
		if engine := m.Engine(); engine != m.PID {
			t.Errorf("processes %d and %d, want one", m.PID, engine)
		}
		wantContent(t, m.Path("foo.txt"), "2\n")
		m.Unmount()
	}
}

func TestAHangupUnmounts(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	caught := make(chan os.Signal, 1) // if the tests were started by nohup(1), what they start would ignore it as well
	signal.Notify(caught, unix.SIGHUP)
	defer signal.Stop(caught)
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir})
	check(t, unix.Kill(m.PID, unix.SIGHUP))
	m.Ended()
}

func TestTheSameUpperDetachesItsDeadMountElsewhere(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	spec := testfs.Spec{Origin: "git:" + helloRepo(t).Dir, Upper: lab.Path("upper"), Detach: true}
	dead := lab.Mount(spec)
	lab.Shell(dead.Point, "echo x > new")
	holder := lab.Background(dead.Point, "sleep", "1000") // so that it cannot be unmounted
	await(t, "the holder holds", func() bool { return strings.Contains(comm(holder.Process.Pid), "sleep") })
	dead.Kill()
	m := lab.Mount(spec)
	wantContent(t, m.Path("new"), "x\n")
	if dead.Mounted() {
		t.Error("the dead mount is still there")
	}
	if left := records(dead.Point); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
	m.Unmount()
}

func TestTheKeeperIsNotKilledBeforeItsEngineWhenMemoryIsShort(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir})
	var keeper, engine int
	for pid, score := range map[int]*int{m.PID: &keeper, m.Engine(): &engine} {
		_, err := fmt.Sscan(read(t, fmt.Sprintf("/proc/%d/oom_score_adj", pid)), score)
		check(t, err)
	}
	// Not every root may lower it: a container's may not.
	permitted := lab.Run(testfs.Command{}, "bash", "-c", "read n < /proc/self/oom_score_adj; echo $((n-1)) > /proc/self/oom_score_adj").Code == 0
	if permitted && keeper >= engine || !permitted && keeper != engine {
		t.Errorf("oom_score_adj %d of the keeper, %d of the engine, permitted: %v; want less if permitted", keeper, engine, permitted)
	}
	m.Unmount()
}

func TestBadWatchdogIsRefused(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	wantRefusal(t, lab, refusal{2, []string{"--watchdog -1s", "give a time"}}, "mount", "--watchdog", "-1s", lab.Mkdir("mnt"))
	wantRefusal(t, lab, refusal{2, []string{"engine", "started by mount"}}, "engine", lab.Mkdir("mnt"))
}
