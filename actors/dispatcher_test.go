package actors

import (
	"strings"
	"sync"
	"testing"
)

func TestTheDispatcherRunsEverything(t *testing.T) {
	guardAgainstHanging(t)
	d := newDispatcher()
	var wg sync.WaitGroup
	started, release := make(chan struct{}), make(chan struct{})
	const n = 3 * parkedGoroutines
	for range n { // all at once: none may wait for another's end
		wg.Add(1)
		d.Schedule(func() { started <- struct{}{}; <-release; wg.Done() })
	}
	for range n {
		<-started
	}
	close(release)
	wg.Wait()
	if d.Throughput() < 1 {
		t.Error("a mailbox would never get a turn")
	}
	running := func(stack string) bool { return strings.Contains(stack, "(*dispatcher).run") }
	waitFor(t, "the end of those beyond the limit", func() bool { return len(d.park) == parkedGoroutines })
	again := make(chan struct{})
	d.Schedule(func() { close(again) })
	<-again
	d.stop()
	if left := waitForNone(running); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

func TestTheDispatcherUsesWaitingGoroutines(t *testing.T) {
	guardAgainstHanging(t)
	d := newDispatcher()
	defer d.stop()
	done := make(chan struct{})
	d.Schedule(func() { done <- struct{}{} })
	<-done
	waitFor(t, "the goroutine's return", func() bool { return len(d.park) == 1 })
	for range 100 {
		d.Schedule(func() { done <- struct{}{} })
		<-done
		waitFor(t, "the goroutine's return", func() bool { return len(d.park) >= 1 })
	}
	if n := len(d.park); n > 3 { // one may be on its way back when the next work comes
		t.Errorf("%d goroutines wait after one thing at a time", n)
	}
}

// A message that is found among the dead letters is answered: its caller must not wait for an actor that has stopped.
func TestARequestToAStoppedActorIsAnswered(t *testing.T) {
	r := newRig(t)
	dir := r.node("a")
	r.forgetAll()
	check(t, r.mount.Unmount(t.Context()))
	wantErr(t, "ask", r.fs.ask(nobodyWaits, dir.Owner, &loadTable{Dir: dir}), ErrStopped)
}
