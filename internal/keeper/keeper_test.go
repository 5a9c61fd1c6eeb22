package keeper

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAnEngineThatIsKilledIsStartedAgainWithItsDescriptors(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil, act{})
	first := s.next("ready")
	kill(t, first.PID, unix.SIGKILL)
	second := s.next("ready")
	if second.Start != 1 || second.Inode != first.Inode || second.Text != "xx" || second.PID == first.PID {
		t.Errorf("second engine has %+v, want the journal of %+v, written to twice", second, first)
	}
	if second.Keeper != s.cmd.Process.Pid {
		t.Errorf("it believes its keeper to be %d, want %d", second.Keeper, s.cmd.Process.Pid)
	}
	kill(t, s.cmd.Process.Pid, unix.SIGTERM)
	s.next("signal")
	s.wantStatus(5)
	if s.heard["first ready"] != 1 {
		t.Errorf("heard %v, want to hear once that the first engine is ready", s.heard)
	}
}

func TestAPanicIsNoDeliberateEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil, act{After: "panic"}, act{After: "exit", Status: 0}, act{Before: "panic"}, act{After: "stop", Status: 7})
	for start := range 2 {
		if got := s.next("ready"); got.Start != start {
			t.Errorf("start %d, want %d", got.Start, start)
		}
	}
	if got := s.next("ready"); got.Start != 3 {
		t.Errorf("start %d, want the one after the panic", got.Start)
	}
	s.wantStatus(7)
}

func TestAnEngineThatNeverMountedIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]struct {
		act
		status int
	}{
		"deliberate":     {act{Unmounted: true, Before: "stop", Status: 3}, 3},
		"without a word": {act{Unmounted: true, Before: "exit", Status: 4}, 4},
		"with success":   {act{Unmounted: true, Before: "exit"}, 1},
		"panic":          {act{Unmounted: true, Before: "panic"}, 2},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			newStage(t, nil, want.act).wantStatus(want.status)
		})
	}
}

func TestAnEngineWhoseMountIsGoneIsNotStartedAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil, act{})
	first := s.next("ready")
	_ = s.fuse.Close()
	kill(t, first.PID, unix.SIGKILL)
	s.next("failed")
	s.wantStatus(1)
}

func TestAMountThatGoesInAPauseEndsTheKeeper(t *testing.T) {
	t.Parallel()
	s := newStage(t, []string{"KEEPER_TEST_PAUSE=1h"}, act{Before: "exit", Status: 3})
	for s.next("pause").Pause < time.Second {
	}
	_ = s.fuse.Close()
	s.wantStatus(0)
}

func TestCrashLoopsBackOff(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil, act{Before: "exit", Status: 3})
	var got []time.Duration
	for range 12 {
		got = append(got, s.next("pause").Pause)
	}
	want := "[0s 10ms 20ms 40ms 80ms 160ms 320ms 640ms 1.28s 2.56s 5s 5s]"
	if fmt.Sprint(got) != want {
		t.Errorf("pauses %v, want %s", got, want)
	}
}

func TestPausesBeginAnewAfterALongLife(t *testing.T) {
	t.Parallel()
	var p pauses
	const ms = time.Millisecond
	for i, step := range []struct {
		life
		want time.Duration
	}{
		{life{total: 5 * ms}, 0},
		{life{total: 5 * ms}, 10 * ms},
		{life{total: 500 * ms, ready: 400 * ms}, 20 * ms},
		{life{total: 500 * ms, ready: 400 * ms, killed: true}, 10 * ms},
		{life{total: 500 * ms, killed: true}, 40 * ms},
		{life{total: 3 * time.Second, ready: 2 * time.Second}, 0},
		{life{total: 5 * ms}, 80 * ms},
		{life{total: 11 * time.Second, ready: 10 * time.Second}, 0},
		{life{total: 5 * ms}, 0},
		{life{total: 5 * ms}, 10 * ms},
	} {
		if got := p.after(step.life); got != step.want {
			t.Errorf("step %d: pause %v, want %v", i, got, step.want)
		}
	}
}

func TestSignalsAndOrdersReachTheEngine(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil, act{})
	first := s.next("ready")
	kill(t, s.cmd.Process.Pid, unix.SIGHUP)
	if got := s.next("signal"); got.Text != "hangup" || got.PID != first.PID {
		t.Errorf("%+v, want a hangup", got)
	}
	kill(t, s.cmd.Process.Pid, unix.SIGINT)
	if got := s.next("signal"); got.Text != "interrupt" {
		t.Errorf("%+v, want an interrupt", got)
	}
	kill(t, s.cmd.Process.Pid, unix.SIGUSR2)
	if got := s.next("order"); got.Text != string(Handover) {
		t.Errorf("%+v, want the order", got)
	}
	kill(t, first.PID, unix.SIGKILL)
	kill(t, s.cmd.Process.Pid, unix.SIGTERM) // whichever engine is there, or none yet
	s.wantStatus(5)
}

func TestAKeeperThatIsKilledHasASuccessor(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil, act{})
	first := s.next("ready")
	keeper := s.cmd.Process.Pid
	for start := 1; start <= 3; start++ {
		kill(t, keeper, unix.SIGKILL)
		keeper = s.next("new keeper").Keeper
		kill(t, first.PID, unix.SIGKILL)
		next := s.next("ready")
		if next.Start != start || next.Inode != first.Inode || next.Keeper != keeper {
			t.Errorf("engine %+v, want start %d, journal of %+v, keeper %d", next, start, first, keeper)
		}
		first = next
	}
	kill(t, keeper, unix.SIGTERM)
	s.next("signal")
	s.next("keeper ends")
}

func TestAHangingEngineIsKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	env := []string{"KEEPER_TEST_WATCHDOG=2s"}
	t.Run("it hangs", func(t *testing.T) { // and dumps
		t.Parallel()
		s := newStage(t, env, act{Hang: true}, act{})
		first := s.next("ready")
		if second := s.next("ready"); second.Inode != first.Inode {
			t.Errorf("%+v after %+v", second, first)
		}
	})
	t.Run("it is stopped", func(t *testing.T) { // and cannot even dump
		t.Parallel()
		s := newStage(t, env, act{})
		first := s.next("ready")
		kill(t, first.PID, unix.SIGSTOP)
		if second := s.next("ready"); second.Inode != first.Inode {
			t.Errorf("%+v after %+v", second, first)
		}
	})
}

// TestAnEngineThatHangsBeforeItIsReadyIsKilled: those whose mount it shall take over wait for it. One that mounts may wait for
// the origin.
func TestAnEngineThatHangsBeforeItIsReadyIsKilled(t *testing.T) {
	t.Parallel()
	env := []string{"KEEPER_TEST_WATCHDOG=60s", "KEEPER_TEST_START=2s"}
	t.Run("it takes over", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, env, act{}, act{Late: true}, act{})
		kill(t, s.next("ready").PID, unix.SIGKILL)
		if got := s.next("ready"); got.Start < 2 { // not 2: on a busy machine that may have been late as well
			t.Errorf("start %d is ready, want one after that which hangs", got.Start)
		}
	})
	t.Run("it mounts", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, []string{"KEEPER_TEST_WATCHDOG=10ms", "KEEPER_TEST_START=1ns"}, act{Unmounted: true, Late: true})
		first := s.next("late")
		kill(t, s.cmd.Process.Pid, unix.SIGTERM)
		if got := s.next("signal"); got.PID != first.PID {
			t.Errorf("%+v, want the first engine's", got)
		}
		s.wantStatus(5)
	})
}

// TestAMountThatNobodyTakesOverIsGivenUp: then the kernel tells those who wait, since nobody has its end of the mount any more.
func TestAMountThatNobodyTakesOverIsGivenUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, []string{"KEEPER_TEST_FAILING=300ms"}, act{}, act{Before: "exit", Status: 3})
	kill(t, s.next("ready").PID, unix.SIGKILL)
	if got := s.next("failed"); !strings.Contains(got.Text, ErrGivenUp.Error()) || !strings.Contains(got.Text, "exit status 3") {
		t.Errorf("it failed with %q", got.Text)
	}
	s.wantStatus(1)
	if n, err := s.fuse.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the kernel's end is open still: %d, %v", n, err)
	}
}

func TestAMountIsGivenUpAfterAnUnbrokenRowOfFailures(t *testing.T) {
	t.Parallel()
	k := keeper{cfg: Config{Log: slog.New(slog.DiscardHandler), limits: limits{failing: time.Minute}}}
	begun := time.Now()
	want := func(after time.Duration, over bool) {
		t.Helper()
		if err := k.giveUp(begun.Add(after), "exit status 1"); errors.Is(err, ErrGivenUp) != over {
			t.Errorf("after %v: %v", after, err)
		}
	}
	want(0, false)
	want(59*time.Second, false)
	k.stood(10 * time.Second) // does not count
	want(69*time.Second, false)
	want(70*time.Second, true)
	k.take(&engine{}, message{ready: true}, nil)
	want(100*time.Second, false)
	want(160*time.Second, true)
}

func TestNothingLeaksOverRestarts(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil, act{})
	open := func() (n int) {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	engine := s.next("ready")
	before, theirs := 0, 0
	for i := range 55 {
		kill(t, engine.PID, unix.SIGKILL)
		engine = s.next("ready")
		if i == 4 {
			before, theirs = open(), engine.Fds
		}
	}
	if after := open(); after >= before+25 { // it may have some for a moment, when it has just started an engine
		t.Errorf("%d descriptors in the keeper, %d after 50 restarts", before, after)
	}
	if engine.Fds != theirs {
		t.Errorf("%d descriptors in the engine, %d after 50 restarts", theirs, engine.Fds)
	}
}
