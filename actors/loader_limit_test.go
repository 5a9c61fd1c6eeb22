package actors

import (
	"fmt"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

func TestTheLimitFollowsTheOrigin(t *testing.T) {
	trouble := outcome{Asked: true, Err: fmt.Errorf("%w: 503", remote.ErrUnavailable)}
	fine := outcome{Asked: true}
	feed := func(l *limit, n int, took time.Duration, o outcome) {
		for range n {
			l.done(took, o, l.places())
		}
	}
	l := newLimit(64)
	feed(l, 1000, time.Millisecond, fine)
	if l.places() != 64 {
		t.Errorf("%d places at an origin that is well", l.places())
	}
	feed(l, 10, time.Millisecond, trouble)
	if l.places() != 32 {
		t.Errorf("%d places after the answers to requests of one moment: one decrease is due", l.places())
	}
	feed(l, 500, time.Millisecond, trouble)
	if l.places() != 1 {
		t.Errorf("%d places at an origin that answers nothing", l.places())
	}
	feed(l, 64*64, time.Millisecond, fine)
	if l.places() != 64 {
		t.Errorf("%d places when it is well again", l.places())
	}
	feed(l, 2000, 100*time.Millisecond, fine)
	if l.places() != slowMost {
		t.Errorf("%d places at an origin that has become slow", l.places())
	}
	feed(l, 64*64, time.Millisecond, fine)
	if l.places() != 64 {
		t.Errorf("%d places when it is fast again", l.places())
	}
	feed(l, 10_000, 100*time.Millisecond, fine)
	if l.places() != 64 {
		t.Errorf("%d places at an origin that is far away: distance is not slowness", l.places())
	}
}

// TestSlownessKeepsNobodyAtOnePlace: trouble brings the limit down to one, from where it rises though answers are slow, since that
// may be this machine.
func TestSlownessKeepsNobodyAtOnePlace(t *testing.T) {
	for most, want := range map[int]int{64: slowMost, 8: 8} {
		l := newLimit(most)
		for range 1000 {
			l.done(time.Millisecond, outcome{Asked: true}, l.places())
		}
		for range 500 {
			l.done(time.Millisecond, outcome{Asked: true, Err: remote.ErrUnavailable}, l.places())
		}
		for range 1500 {
			l.done(100*time.Millisecond, outcome{Asked: true}, l.places())
		}
		if l.places() != want {
			t.Errorf("%d places of %d at an origin that is slow after an outage, want %d", l.places(), most, want)
		}
	}
}

func TestTheLimitTakesNoticeOnlyOfWhatTheOriginDoes(t *testing.T) {
	l := newLimit(16)
	for _, o := range []outcome{
		{Asked: true, Err: remote.ErrNotFound}, {Asked: true, Bytes: 1 << 30}, {}, {Asked: true, Err: fmt.Errorf("gone: %w", ErrStopped)},
	} {
		for range 1000 {
			l.done(time.Minute, o, 16)
		}
	}
	if l.places() != 16 {
		t.Errorf("%d places", l.places())
	}
	for range 10_000 { // one reader at a time says nothing about more
		l.done(time.Millisecond, outcome{Asked: true, Err: remote.ErrUnavailable}, 1)
	}
	for range 10_000 {
		l.done(time.Millisecond, outcome{Asked: true}, 0)
	}
	if l.places() != 1 {
		t.Errorf("%d places, of which never more than one was used", l.places())
	}
}
