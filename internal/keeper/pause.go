package keeper

import (
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	shortLife = time.Second      // an engine that dies sooner after it was ready dies of what it found
	longLife  = 10 * time.Second // one that lived longer starts the pauses anew
	minPause  = 10 * time.Millisecond
	maxPause  = 5 * time.Second
)

// pauses says how long to wait before a process is started again.
type pauses struct {
	deaths int // quick ones, one after another
	grow   backoff.ExponentialBackOff
}

// life is how long a process lived, and since when it was ready: 0 if it never was.
type life struct {
	total, ready time.Duration
	killed       bool // by SIGKILL, from elsewhere: somebody's will, or the kernel's for want of memory
}

func (p *pauses) after(l life) time.Duration {
	switch {
	case l.total >= longLife:
		p.deaths = 0
		return 0
	case l.ready >= shortLife:
		return 0
	}
	if p.deaths++; p.deaths == 1 {
		p.grow = backoff.ExponentialBackOff{InitialInterval: minPause, Multiplier: 2, MaxInterval: maxPause}
		return 0
	}
	if l.killed && l.ready > 0 { // it came up, so the next one will
		return minPause
	}
	return p.grow.NextBackOff()
}
