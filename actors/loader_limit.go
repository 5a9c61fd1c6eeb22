package actors

import (
	"errors"
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

// limit is how many fetches may be under way at once. It begins at the most that was configured, since a cold mount should
// not spend its first round trips on finding out what nearly every origin can do; it falls when the origin is in trouble or
// gets slow, and rises again by one each time that all places were used and served (additive increase, multiplicative
// decrease). It is the loader's own, fed with facts. Limiters made for callers who wait would have to be asked without waiting,
// and take windows of seconds, in which a cold build is half done.
type limit struct {
	most    int
	now     float64
	ignore  int           // answers to requests that were made before the last decrease
	best    time.Duration // shortest answer
	usual   time.Duration // what answers take, smoothed
	samples int           // since the last time that it was judged
}

const (
	// slowMost is down to how many fetches slowness brings the limit: half of the usual most. It may be this machine that is
	// slow, where each answer waits for a processor and fewer at once are a loss: beside four busy loops on two processors, a
	// cold tar at 20 ms took 10 to 18 s with 8, and 8.5 to 12.8 s with 32 or no such limit. Trouble brings it down to 1: an
	// origin that answers 429 or 503 may be served by one request at a time.
	slowMost = 32
	// slow says when answers count as slow: three times the shortest and slowSlack more. A server whose own work is the limit
	// queues what it cannot do at once: with three times the shortest, two thirds of the requests wait in a queue, and fewer
	// at once lose nothing.
	slow      = 3
	slowSlack = 20 * time.Millisecond // garbage collections and busy machines, on either side
	// slowCut and troubleCut are what is left after a decrease. Slowness is judged again after as many answers as there are
	// places; trouble needs relief at once.
	slowCut    = 0.9
	troubleCut = 0.5
	// smooth is the weight of one answer in the usual one.
	smooth = 1.0 / 16
	// bestAge is by how much the shortest answer grows with each answer, so that it follows an origin that moves away: to the
	// double in 700 answers.
	bestAge = 0.001
)

func newLimit(most int) *limit { return &limit{most: most, now: float64(most)} }

func (l *limit) places() int { return max(1, int(l.now)) }

// done learns from an answer; running is how many were under way with it.
func (l *limit) done(took time.Duration, o outcome, running int) {
	switch {
	case errors.Is(o.Err, remote.ErrUnavailable):
		if l.ignore > 0 {
			l.ignore--
			return
		}
		l.cut(troubleCut, 1)
		return
	case o.Err != nil || !o.Asked || o.Bytes > smallBlob:
		return // says nothing of the origin, or takes long because it is large
	case l.ignore > 0:
		l.ignore--
		return
	}
	if l.best == 0 || took < l.best {
		l.best = took
	}
	if l.usual == 0 {
		l.usual = took
	}
	l.best += time.Duration(bestAge * float64(l.best))
	l.usual += time.Duration(smooth * float64(took-l.usual))
	if l.samples++; l.samples < l.places() {
		return
	}
	l.samples = 0
	most := l.most
	if l.usual > slow*l.best+slowSlack {
		most = min(most, slowMost)
	}
	switch {
	case l.now > float64(most):
		l.cut(slowCut, float64(most))
	case running >= l.places():
		l.now = min(l.now+1, float64(most))
	}
}

func (l *limit) cut(to, least float64) {
	l.ignore = l.places()
	l.now = max(l.now*to, least)
	l.samples = 0
}
