package mega

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/antares-actor/antares-actor/remote"
)

// Why a request was not sent.
var (
	errOpen  = errors.New("not asked: the server has failed all requests for a while")
	errStill = errors.New("the server still fails all requests") // of one that was sent before
)

const (
	// A server that hangs fails slowly: so few attempts in a row, over so long a time, are enough as well.
	slowTrip      = 4
	slowTripAfter = 2 * time.Minute
	// apart is the time without an attempt after which a failure does not belong to those before.
	apart = 10 * time.Second
)

// breaker keeps requests from a server that answers none. It opens after failures in a row that are many and lasted a while,
// lets one request through after each pause, and closes with the first answer.
type breaker struct {
	policy    circuitbreaker.CircuitBreaker[any] // holds requests back, and lets them through
	trip      int
	tripAfter time.Duration

	mu     sync.Mutex // of the failures in a row
	streak int
	since  time.Time // when the first of their attempts began
	last   time.Time // when the last one ended
}

func newBreaker(cfg Config, log *slog.Logger) *breaker {
	return &breaker{
		trip: int(cfg.Trip), tripAfter: cfg.TripAfter,
		policy: circuitbreaker.NewBuilder[any]().WithFailureThreshold(cfg.Trip).WithSuccessThreshold(1).WithDelay(cfg.Pause).WithJitterFactor(0.2).
			OnStateChanged(func(e circuitbreaker.StateChangedEvent) {
				log.Warn("circuit breaker", "state", e.NewState.String())
			}).Build(),
	}
}

// allow tells whether a request may be sent; what became of it must be recorded then.
func (b *breaker) allow() bool { return b.policy.TryAcquirePermit() }

// closed tells whether the server answers, as far as is known.
func (b *breaker) closed() bool { return b.policy.IsClosed() }

// record notes how an attempt ended that began at start.
func (b *breaker) record(err error, start time.Time) {
	status, answered := errors.AsType[*statusError](err)
	switch {
	case left(err): // its caller did: nothing is known. But a probe must end, or no other would follow.
		if b.policy.IsHalfOpen() {
			b.policy.RecordFailure()
		}
	case err == nil, answered && status.alive(), !answered && !errors.Is(err, remote.ErrUnavailable):
		b.mu.Lock()
		b.streak = 0
		b.mu.Unlock()
		b.policy.RecordSuccess()
	case b.policy.IsHalfOpen():
		b.policy.RecordFailure()
	default:
		if b.failed(start, time.Now()) {
			b.policy.Open()
		}
	}
}

// failed counts a failure, and tells whether that is enough.
func (b *breaker) failed(start, end time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.streak == 0 || start.Sub(b.last) > apart {
		b.streak, b.since = 0, start
	}
	b.streak++
	b.last = end
	lasted := end.Sub(b.since)
	return b.streak >= b.trip && lasted >= b.tripAfter || b.streak >= slowTrip && lasted >= slowTripAfter
}

// left tells whether an attempt ended because nobody waited for it any longer.
func left(err error) bool {
	return (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) && !errors.Is(err, remote.ErrUnavailable)
}
