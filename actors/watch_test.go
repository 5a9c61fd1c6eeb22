package actors

import (
	"testing"
	"time"
)

// A request that takes longer than the limit is stuck, unless something came from the origin meanwhile.
func TestWatchTellsOfRequestsThatDoNotEnd(t *testing.T) {
	r := newRig(t)
	c := r.bridge.last()
	under := func(op string, since time.Time) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.oldest, c.since = op, since
	}
	w := NewWatch(r.mount)
	long := time.Now().Add(-time.Hour)
	w.since = long
	w.seen = r.origin.Counts()
	if op, _ := w.Stuck(time.Minute); op != "" {
		t.Errorf("nothing is under way, and %s is stuck", op)
	}
	under("WRITE", time.Now())
	if op, _ := w.Stuck(time.Minute); op != "" {
		t.Errorf("%s has only begun, and is stuck", op)
	}
	under("WRITE", long)
	if op, age := w.Stuck(time.Minute); op != "WRITE" || age < time.Hour {
		t.Errorf("stuck is %q for %v", op, age)
	}
	r.wantText("a/one.txt", "one\n") // something comes from the origin
	if op, _ := w.Stuck(time.Minute); op != "" {
		t.Errorf("the origin answers, and %s is stuck", op)
	}
}
