package actors

import "github.com/asynkron/protoactor-go/actor"

// parkedGoroutines bounds how many goroutines wait for work: more mailboxes than that are seldom busy at once.
const parkedGoroutines = 64

// dispatcher runs mailboxes on parked goroutines. The default one starts a goroutine each time an idle mailbox gets a
// message, whose stack grows anew in the first system call.
type dispatcher struct {
	work chan func()
	park chan struct{} // one token a goroutine that may wait
	quit chan struct{}
}

var _ actor.Dispatcher = (*dispatcher)(nil)

func newDispatcher() *dispatcher {
	return &dispatcher{work: make(chan func()), park: make(chan struct{}, parkedGoroutines), quit: make(chan struct{})}
}

// Schedule implements actor.Dispatcher: fn goes to a waiting goroutine, or to a new one.
func (d *dispatcher) Schedule(fn func()) {
	select {
	case d.work <- fn:
	default:
		go d.run(fn)
	}
}

// Throughput implements actor.Dispatcher: messages handled before other mailboxes get a turn.
func (d *dispatcher) Throughput() int { return 64 }

// stop ends the waiting goroutines.
func (d *dispatcher) stop() { close(d.quit) }

func (d *dispatcher) run(fn func()) {
	for {
		fn()
		select {
		case d.park <- struct{}{}:
		default:
			return // enough wait already
		}
		select {
		case fn = <-d.work:
			<-d.park
		case <-d.quit:
			return
		}
	}
}
