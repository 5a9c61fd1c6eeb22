package mega

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
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
	policies := []failsafe.Policy[T]{retrypolicy.NewBuilder[T]().
		HandleErrors(remote.ErrUnavailable, errDamaged).AbortIf(func(_ T, err error) bool { return c.hopeless(err) }).
		WithMaxAttempts(int(c.cfg.Tries)).ReturnLastFailure().
		WithBackoff(c.cfg.Backoff, max(maxBackoff, c.cfg.Backoff+1)).WithJitterFactor(jitter).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[T]) time.Duration { return askedToWait(e.LastError()) }).
		OnRetryScheduled(func(e failsafe.ExecutionScheduledEvent[T]) {
			c.log.InfoContext(e.Context(), "trying again", "err", e.LastError(), "wait", e.Delay)
		}).Build()}
	if l != nil {
		policies = append(policies, hedgepolicy.NewBuilderWithDelayFunc[T](func(failsafe.ExecutionAttempt[T]) time.Duration {
			return l.late()
		}).Build())
	}
	return &policy[T]{c: c, executor: failsafe.With(policies...), latency: l, drop: drop}
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
}

func (w *watch) heard() { w.timer.Reset(w.limit) }

// try makes one attempt that ends when ctx does.
type try[T any] func(ctx context.Context, w *watch) (T, error)

// run tries until one attempt succeeds, fails for good, or nothing more may be tried. Begun says that the request was
// answered before and broke: it waits for a server that the breaker keeps others from.
func (p *policy[T]) run(ctx context.Context, begun bool, silence time.Duration, attempt try[T]) (T, error) {
	watched, cancel := context.WithCancelCause(ctx)
	w := &watch{limit: silence, timer: time.AfterFunc(silence, func() { cancel(errSilence) })}
	defer cancel(nil)
	defer w.timer.Stop()
	var last atomic.Pointer[error]
	var won atomic.Bool
	v, err := p.executor.WithContext(watched).GetWithExecution(func(exec failsafe.Execution[T]) (T, error) {
		first := !begun && exec.IsFirstAttempt()
		v, err := p.once(exec, first, w, attempt)
		if err != nil && !exec.IsHedge() && !errors.Is(err, errStill) { // which says nothing of why
			last.Store(&err)
		}
		if err == nil && !won.CompareAndSwap(false, true) {
			p.drop(v)
			v, err = *new(T), context.Canceled
		}
		return v, err
	})
	if err == nil {
		return v, nil
	}
	if why := last.Load(); why != nil && (ctx.Err() != nil || errors.Is(err, errStill) || errors.Is(context.Cause(watched), errSilence)) {
		err = *why
	}
	switch {
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		err = fmt.Errorf("mega: %w: %w", ctx.Err(), err)
	case ctx.Err() == nil && left(err):
		err = fmt.Errorf("mega: %s: %w: %w", p.c, remote.ErrUnavailable, context.Cause(watched))
	}
	return v, err
}

// secondLook is how long somebody who finds a request late waits once more. A process that got no processor for a while wakes
// with both the timer that has run out and the answer that has come, and has the timer first: of the late answers of a busy machine (50
// readers on 2 cores) nearly all were read within 6 ms of that.
const secondLook = 10 * time.Millisecond

// answered tells whether another attempt comes to its end within a time.
func answered[T any](exec failsafe.Execution[T], within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-exec.Canceled():
		return true
	case <-timer.C:
		return false
	}
}

// once makes one attempt, if the breaker allows it. The second sending of a late request is worth something only if it
// succeeds: else it waits to be cancelled, since any result would end the first.
func (p *policy[T]) once(exec failsafe.Execution[T], first bool, w *watch, attempt try[T]) (T, error) {
	var zero T
	hedge := exec.IsHedge()
	wait := func() (T, error) {
		<-exec.Canceled()
		return zero, context.Canceled
	}
	if hedge && (answered(exec, secondLook) || !p.latency.spend()) {
		return wait()
	}
	if !p.c.breaker.allow() {
		switch {
		case hedge:
			return wait()
		case first:
			return zero, fmt.Errorf("mega: %s: %w: %w", p.c, remote.ErrUnavailable, errOpen)
		}
		return zero, fmt.Errorf("mega: %s: %w: %w", p.c, remote.ErrUnavailable, errStill)
	}
	if hedge {
		p.c.hedged.Add(1)
	}
	start := time.Now()
	v, err := attempt(exec.Context(), w)
	p.c.breaker.record(err, start)
	switch {
	case err != nil && hedge:
		return wait()
	case err == nil && p.latency != nil:
		p.latency.add(time.Since(start))
	}
	return v, err
}
