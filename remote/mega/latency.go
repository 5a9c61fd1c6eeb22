package mega

import (
	"slices"
	"sync"
	"time"
)

const (
	// enoughSamples is how many answers must have come before any is called late, and manySamples how many count.
	enoughSamples = 100
	manySamples   = 512
	// hedgeShare is the part of the requests that may be sent twice, and maxHedges how many of them at once after a calm time.
	hedgeShare = 0.02
	maxHedges  = 4
)

// latency knows how long answers of one kind take, and decides when one is late enough to be asked for again. Its mutex is
// held for a few hundred nanoseconds, and for some microseconds once in 32 answers. For a nil one no answer is late.
type latency struct {
	floor time.Duration // nothing quicker is late; negative: nothing ever is

	mu      sync.Mutex
	samples [manySamples]time.Duration // the latest, as a ring
	seen    int
	p95     time.Duration
	credit  float64 // of requests that may be sent twice
}

// add notes how long an answer took.
func (l *latency) add(d time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples[l.seen%manySamples] = d
	l.seen++
	l.credit = min(l.credit+hedgeShare, maxHedges)
	if l.seen >= enoughSamples && l.seen%32 == 0 {
		sorted := slices.Clone(l.samples[:min(l.seen, manySamples)])
		slices.Sort(sorted)
		l.p95 = sorted[len(sorted)*95/100]
	}
}

// late returns how long to wait for an answer before it is asked for again; negative is for ever.
func (l *latency) late() time.Duration {
	if l == nil {
		return -1
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.floor < 0 || l.p95 == 0 || l.credit < 1 {
		return -1
	}
	return max(l.floor, l.p95)
}

// spend tells whether one more request may be sent twice now.
func (l *latency) spend() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.credit < 1 {
		return false
	}
	l.credit--
	return true
}
