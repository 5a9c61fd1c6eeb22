package mega

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/antares-actor/antares-actor/remote"
)

const (
	maxBackoff = 5 * time.Second
	// jitter is the part by which a wait is varied, up or down.
	jitter = 0.3
)

// errSilence ends a request, its tries and the waits between them when the server has sent nothing for too long.
var errSilence = errors.New("the server has sent nothing for too long")

// policy is how requests of one kind are tried again. Immutable.
type policy[T any] struct {
	c        *Client
	executor failsafe.Executor[T]
	latency  *latency // nil: no request is sent twice
	drop     func(T)  // releases an answer that came second
}

// newPolicy tries again what remote.ErrUnavailable and errDamaged report, and with a latency sends late requests a second time.
func newPolicy[T any](c *Client, l *latency, drop func(T)) *policy[T] {
	again := retrypolicy.NewBuilder[T]().
		HandleErrors(remote.ErrUnavailable, errDamaged).AbortIf(func(_ T, err error) bool { return c.hopeless(err) }).
		WithMaxAttempts(int(c.cfg.Tries)).ReturnLastFailure().
		WithBackoff(c.cfg.Backoff, max(maxBackoff, c.cfg.Backoff+1)).WithJitterFactor(jitter).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[T]) time.Duration { return askedToWait(e.LastError()) }).
		OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[T]) {
			c.log.InfoContext(e.Context(), "trying again", "err", e.LastError(), "wait", e.Delay)
		}).Build()
	return &policy[T]{c: c, executor: failsafe.With(again), latency: l, drop: drop}
}

// hopeless tells whether trying again is no use though the server is to blame: it is not even asked now, or it wants to be
// left alone for longer than anybody waits.
func (c *Client) hopeless(err error) bool {
	return errors.Is(err, errOpen) || askedToWait(err) > c.cfg.SilenceTimeout
}

// askedToWait returns the wait that the server asked for, so that the jitter makes it no shorter; -1 where it named none.
func askedToWait(err error) time.Duration {
	status, ok := errors.AsType[*statusError](err)
	if !ok || status.wait == 0 {
		return -1
	}
	return time.Duration(float64(status.wait) / (1 - jitter))
}

// watch ends what it watches when the server has sent nothing for a while, tries and waits between them included. A slow
// answer is no silence, however long it takes.
type watch struct {
	timer *time.Timer
	limit time.Duration
	first bool // it is the first try
}

func (w *watch) heard() { w.timer.Reset(w.limit) }

// try makes one attempt that ends when ctx does.
type try[T any] func(ctx context.Context, w *watch) (T, error)

// run tries until one attempt succeeds, fails for good, or nothing more may be tried. Begun says that the request was
// answered before and broke: it waits for a server that the breaker keeps others from. The first attempt is made without the
// executor, whose contexts and bookkeeping would be wasted on nearly all requests.
func (p *policy[T]) run(ctx context.Context, begun bool, silence time.Duration, attempt try[T]) (T, error) {
	watched, cancel := context.WithCancelCause(ctx)
	w := &watch{limit: silence, timer: time.AfterFunc(silence, func() { cancel(errSilence) })}
	first := &watch{limit: silence, timer: w.timer, first: true}
	defer cancel(nil)
	defer w.timer.Stop()
	v, err := p.once(watched, !begun, first, attempt)
	if err == nil {
		return v, nil
	}
	last := err // that says why
	v, err = p.executor.WithContext(watched).GetWithExecution(func(exec failsafe.Execution[T]) (T, error) {
		if exec.IsFirstAttempt() {
			return v, err
		}
		v, err := p.once(exec.Context(), false, w, attempt)
		if err != nil && !errors.Is(err, errStill) {
			last = err
		}
		return v, err
	})
	if err == nil {
		return v, nil
	}
	if ctx.Err() != nil || errors.Is(err, errStill) || errors.Is(context.Cause(watched), errSilence) {
		err = last
	}
	switch {
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		err = fmt.Errorf("mega: %w: %w", ctx.Err(), err)
	case ctx.Err() == nil && left(err):
		err = fmt.Errorf("mega: %s: %w: %w", p.c, remote.ErrUnavailable, context.Cause(watched))
	}
	return v, err
}

// once makes one attempt, if the breaker allows it.
func (p *policy[T]) once(ctx context.Context, first bool, w *watch, attempt try[T]) (v T, err error) {
	if !p.c.breaker.allow() {
		why := errStill
		if first {
			why = errOpen
		}
		return v, fmt.Errorf("mega: %s: %w: %w", p.c, remote.ErrUnavailable, why)
	}
	start := time.Now()
	if late := p.latency.late(); late < 0 {
		v, err = attempt(ctx, w)
	} else {
		v, err = p.hedged(ctx, late, w, attempt)
	}
	p.c.breaker.record(err, start)
	if err == nil {
		p.latency.add(time.Since(start))
	}
	return v, err
}

// secondLook is how long a request that is late is waited for once more. A process that got no processor for a while wakes
// with both the timer that has run out and the answer that has come, and has the timer first: of the late answers of a busy
// machine (50 readers on 2 cores) nearly all were read within 6 ms of that.
const secondLook = 10 * time.Millisecond

// hedged sends a request a second time when no answer has come for a while. The first answer wins, and so does a failure of the
// first. It is ours since a library's policy runs each attempt on a goroutine of its own, late or not, for which a walk over
// small files pays more than for all else that is done here.
func (p *policy[T]) hedged(ctx context.Context, late time.Duration, w *watch, attempt try[T]) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var won atomic.Bool
	race := func() (T, error) {
		v, err := attempt(ctx, w)
		if err == nil && !won.CompareAndSwap(false, true) {
			p.drop(v)
			v, err = *new(T), context.Canceled
		}
		return v, err
	}
	var second T
	ended := make(chan struct{}) // guards it
	timer := time.AfterFunc(late, func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			return
		case <-time.After(secondLook):
		}
		if !p.c.breaker.closed() || !p.latency.spend() {
			return
		}
		p.c.hedged.Add(1)
		if v, err := race(); err == nil {
			second = v
			cancel() // the first
		}
	})
	first, err := race()
	if timer.Stop(); err == nil || won.CompareAndSwap(false, true) {
		return first, err
	}
	<-ended
	return second, nil
}
