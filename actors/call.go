package actors

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// Errors that requests can end with, beside ErrBehind and the errnos of the upper file system.
var (
	ErrPanic       = errors.New("internal error, see the log") // a handler, actor or worker panicked
	ErrStale       = errors.New("unknown node")                // the kernel was not given this number, or has forgotten it
	ErrInterrupted = errors.New("interrupted")                 // the caller has gone, and the request has had no effect
	ErrStopped     = errors.New("mount is stopping")
	ErrOrigin      = errors.New("origin cannot be read") // or what came from it is not what it should be
)

// Caller says who waits for a request.
type Caller struct {
	PID    uint32          // the thread that made the system call; 0 if none did
	Cancel <-chan struct{} // closed when a signal reaches the thread, or when nobody waits any more; nil if that cannot happen

	UIDs, GIDs []IDRange // how the layers' ids show to it; see identity

	Request uint64 // the kernel's number of the request; 0 if it has none
	Resent  bool   // a process that has died had it already
}

// The life of a Call: queued, then running or cancelled; running, then answered.
const (
	queued uint32 = iota
	running
	cancelled
	answered
)

// Call is a request's reply slot. It is embedded in the message and travels with it; whoever finishes the request calls
// finish. The fields below done are written before that and read after it.
type Call struct {
	state atomic.Uint32
	done  chan struct{}

	request uint64 // Caller.Request
	resent  bool   // Caller.Resent

	early <-chan struct{} // closed when the caller has what it needs before the answer; nil if that cannot happen

	err  error
	node *tree.Node // the node that the request made
	attr tree.Attr
}

// request is a message that somebody waits for.
type request interface{ call() *Call }

func (c *Call) call() *Call { return c }

// open readies a call for sending.
func (c *Call) open() { c.done = make(chan struct{}, 1) }

// begin is called before the first effect that others could see; false means that the caller has gone and the request must
// not run. It may be called again by the same request.
func (c *Call) begin() bool {
	return c.state.CompareAndSwap(queued, running) || c.state.Load() == running
}

// over tells whether the caller has its answer, or has gone.
func (c *Call) over() bool { return c.state.Load() >= cancelled }

// finish answers. Only the first answer counts: a request that panicked after answering stays answered.
func (c *Call) finish(err error) {
	for {
		s := c.state.Load()
		if s == cancelled || s == answered {
			return
		}
		if c.state.CompareAndSwap(s, answered) {
			c.err = err
			c.done <- struct{}{}
			return
		}
	}
}

// signalPoll is how often a waiting request looks for a signal that should end it: the kernel reports the first only.
const signalPoll = 100 * time.Millisecond

// wait returns when the call is answered, or early when that is not needed any more, or abandons it when the caller should not
// be kept: ErrInterrupted then, and the request has had no effect. An interrupt alone is no reason: the runtime of a Go program
// is interrupted many times a second by signals that it handles itself, a shell by its children, and neither expects EINTR from
// stat(2). See wantsOut.
func (c *Call) wait(who Caller) error {
	select {
	case <-c.done:
		return c.err
	case <-c.early:
		return nil
	case <-who.Cancel:
	}
	poll := time.NewTicker(signalPoll)
	defer poll.Stop()
	for {
		if wantsOut(who.PID) && c.state.CompareAndSwap(queued, cancelled) {
			return ErrInterrupted
		}
		select {
		case <-c.done:
			return c.err
		case <-c.early:
			return nil
		case <-poll.C:
		}
	}
}

// errno wraps a Linux error number with the operation that it ends.
func errno(op string, e unix.Errno) error { return &opError{op: op, err: e} }

// opError is fmt.Errorf("op: %w") without formatting: it is made on paths that fail often, such as looking a name up.
type opError struct {
	op  string
	err error
}

func (e *opError) Error() string { return e.op + ": " + e.err.Error() }
func (e *opError) Unwrap() error { return e.err }
