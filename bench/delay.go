package main

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Pieces of this size are what a delayed connection carries, and so many may be under way in one direction: 64 MiB, which
// no round trip here makes a limit of the bandwidth.
const (
	pieceBytes = 64 << 10
	pieces     = 1024
)

// clock holds back what it is given, by half a round trip. All pieces have the same delay, so they are due in the order in
// which they come, and one goroutine serves all connections.
type clock struct {
	half  time.Duration
	in    chan piece
	quit  chan struct{}
	once  sync.Once
	now   func() time.Time
	sleep func(until time.Time)
}

// piece is some bytes on their way, or the end of a direction.
type piece struct {
	to  *lane
	buf *[]byte
	n   int
	end bool
	due time.Time
}

// newClock starts a clock for a round trip; stop ends it.
func newClock(roundTrip time.Duration) *clock {
	return startClock(roundTrip, time.Now, sleepUntil)
}

func startClock(roundTrip time.Duration, now func() time.Time, sleep func(time.Time)) *clock {
	c := &clock{half: roundTrip / 2, in: make(chan piece, 4*pieces), quit: make(chan struct{}), now: now, sleep: sleep}
	go c.run()
	return c
}

func (c *clock) stop() { c.once.Do(func() { close(c.quit) }) }

func (c *clock) run() {
	runtime.LockOSThread() // its timer slack is made smaller; the thread ends with this goroutine
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for {
		select {
		case p := <-c.in:
			c.sleep(p.due)
			p.to.ready <- p // never full: room has as many places
		case <-c.quit:
			return
		}
	}
}

// sleepUntil is exact to some 10 us. Go's timers are not: while nothing runs they wait in epoll_wait, in whole milliseconds.
func sleepUntil(t time.Time) {
	for wait := time.Until(t); wait > 0; wait = time.Until(t) {
		ts := unix.NsecToTimespec(wait.Nanoseconds())
		_ = unix.Nanosleep(&ts, nil)
	}
}

// lane is one direction of a delayed connection.
type lane struct {
	clock *clock
	room  chan struct{} // a token for each piece under way
	ready chan piece    // due
}

func newLane(c *clock) *lane {
	return &lane{clock: c, room: make(chan struct{}, pieces), ready: make(chan piece, pieces)}
}

var pieceBuffers = sync.Pool{New: func() any { b := make([]byte, pieceBytes); return &b }}

// fill sends what comes from the connection on its way.
func (l *lane) fill(from net.Conn) {
	for {
		buf := pieceBuffers.Get().(*[]byte)
		n, err := from.Read(*buf)
		if n > 0 && !l.send(piece{to: l, buf: buf, n: n}) {
			return
		}
		if err != nil {
			l.send(piece{to: l, end: true})
			return
		}
	}
}

func (l *lane) send(p piece) bool {
	select {
	case l.room <- struct{}{}:
	case <-l.clock.quit:
		return false
	}
	p.due = l.clock.now().Add(l.clock.half)
	select {
	case l.clock.in <- p:
		return true
	case <-l.clock.quit:
		return false
	}
}

// drain hands over what is due, and closes both connections at the end. After a failure, which ends the other side's reading,
// it throws away what is still to come.
func (l *lane) drain(to, from net.Conn) {
	defer from.Close()
	defer to.Close()
	for {
		select {
		case p := <-l.ready:
			if p.end {
				return
			}
			if _, err := to.Write((*p.buf)[:p.n]); err != nil {
				_ = from.Close()
			}
			pieceBuffers.Put(p.buf)
			<-l.room
		case <-l.clock.quit:
			return
		}
	}
}

// delayed is a listener whose connections have a round trip time: each direction takes half of it, whatever its bandwidth,
// and making a connection takes a whole one more, as TCP's handshake would.
type delayed struct {
	net.Listener
	clock *clock
}

// delay puts a round trip time before a listener; 0 leaves it as it is.
func delay(ln net.Listener, roundTrip time.Duration) net.Listener {
	if roundTrip == 0 {
		return ln
	}
	return &delayed{ln, newClock(roundTrip)}
}

// Accept returns the near end of a pipe, whose far end is the connection. Its server cannot tell the difference.
func (d *delayed) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go d.clock.join(conn, far)
	return near, nil
}

// join carries bytes between a client's connection, made just now, and the server's end of a pipe.
func (c *clock) join(client, server net.Conn) {
	made := c.now().Add(2 * c.half)
	up, down := newLane(c), newLane(c)
	go up.drain(server, client)
	go down.fill(server)
	go down.drain(client, server)
	c.sleep(made) // the client would send no sooner
	up.fill(client)
}

// Close ends the listener and its connections.
func (d *delayed) Close() error {
	d.clock.stop()
	err := d.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
