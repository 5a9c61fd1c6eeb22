package mega

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/antares-actor/antares-actor/remote"
)

// Why a request was not sent.
var (
	errOpen  = errors.New("not asked: the server has failed all requests for a while")
	errStill = errors.New("the server still fails all requests") // of one that was sent before
)

// breaker keeps requests from a server that answers none. It opens after many failures in a row that lasted a while, lets
// one request through after each pause, and closes with the first answer.
type breaker struct {
	policy  circuitbreaker.CircuitBreaker[any]
	lasting time.Duration
	since   atomic.Int64 // when the first of the failures in a row was, in nanoseconds of the clock; 0: none
	began   time.Time    // the clock's beginning; immutable
}

func newBreaker(cfg Config, log *slog.Logger) *breaker {
	return &breaker{
		lasting: cfg.TripAfter, began: time.Now(),
		policy: circuitbreaker.NewBuilder[any]().
			WithFailureThreshold(cfg.Trip).WithSuccessThreshold(1).WithDelay(cfg.Pause).WithJitterFactor(0.2).
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				log.Warn("circuit breaker", "state", e.NewState.String())
			}).Build(),
	}
}

// allow tells whether a request may be sent; what became of it must be recorded then.
func (b *breaker) allow() bool { return b.policy.TryAcquirePermit() }

// record notes how an attempt ended.
func (b *breaker) record(err error) {
	status, answered := errors.AsType[*statusError](err)
	switch {
	case err == nil, answered && status.alive(), !answered && !errors.Is(err, remote.ErrUnavailable) && !left(err):
		b.since.Store(0)
		b.policy.RecordSuccess()
	case left(err): // its caller did: nothing is known. But a probe must end, or no other would follow.
		if b.policy.IsHalfOpen() {
			b.policy.RecordFailure()
		}
	default:
		now := int64(time.Since(b.began)) + 1
		b.since.CompareAndSwap(0, now)
		if now-b.since.Load() >= int64(b.lasting) || b.policy.IsHalfOpen() {
			b.policy.RecordFailure()
		}
	}
}

// left tells whether an attempt ended because nobody waited for it any longer.
func left(err error) bool {
	return (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && !errors.Is(err, remote.ErrUnavailable)
}
