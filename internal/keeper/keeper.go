package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what a keeper is made of.
type Config struct {
	Engine   []string         // this program's arguments that make it the engine
	Watchdog time.Duration    // how long an engine may not say that it makes progress; 0: for ever
	Signals  <-chan os.Signal // they are the engine's
	Orders   <-chan Order     // so are they; nil: none
	Ready    func()           // called when an engine is ready for the first time, unless the engine was adopted; may be nil
	Log      *slog.Logger

	pausing func(time.Duration) time.Duration // for tests: sees each pause, and may change it
	limits  limits                            // for tests; 0: the constants
}

// limits are how long what may go wrong may take.
type limits struct{ dump, start, failing time.Duration }

const (
	dumpTime    = 5 * time.Second  // for an engine that hangs to dump its goroutines
	startTime   = 2 * time.Minute  // for an engine to take a mount over; systemd's unit says the same
	failingTime = 10 * time.Minute // without an engine, and then the mount is given up: those who wait for it learn that
)

func (l *limits) complete() {
	for at, usual := range map[*time.Duration]time.Duration{&l.dump: dumpTime, &l.start: startTime, &l.failing: failingTime} {
		if *at == 0 {
			*at = usual
		}
	}
}

// ErrEnded is the end of an engine that did not announce it, when there is nothing left to keep.
var ErrEnded = errors.New("server ended unexpectedly")

// ErrGivenUp is the end of a mount that no engine could take over for too long.
var ErrGivenUp = errors.New("mount given up")

// keeper is one goroutine's.
type keeper struct {
	cfg    Config
	files  stored
	engine *engine // nil between two
	next   upgrade

	program string   // that engines are started from
	held    *os.File // keeps it there, if it is not the keeper's own
	path    string   // where this program stood when it was started: an upgrade starts what stands there then
	oom     oomScore
	wake    [2]int        // a pipe: a byte is a signal's number, or 0
	told    []unix.Signal // for the engine
	was     bool          // an engine was ready
	pauses  pauses
	until   time.Time // when the next engine is started
	failing time.Time // since when no engine has been ready; zero: one is, or none ever was
	buf     [4096]byte
	oob     [1024]byte
}

// Run keeps an engine until it ends on purpose, and returns its exit status. The engine is started, or if this process
// was started by one (Link.Guard), adopted.
func Run(cfg Config) (status int, err error) {
	k := &keeper{cfg: cfg, oom: lowerOOMScore(), program: program()}
	k.path, _ = os.Executable()
	if k.cfg.pausing == nil {
		k.cfg.pausing = func(d time.Duration) time.Duration { return d }
	}
	k.cfg.limits.complete()
	if err := unix.Pipe2(k.wake[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return 1, fmt.Errorf("pipe: %w", err)
	}
	done, orders := make(chan struct{}), make(chan Order, 1)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		forward(cfg, k.wake[1], orders, done)
	}()
	defer func() {
		close(done)
		<-stopped
		k.close()
	}()
	if env := takeEnvironment(); env[envAdopt] != "" {
		err = k.adopt(env)
		k.was = true
	} else {
		err = k.start()
	}
	if err != nil {
		return 1, err
	}
	for {
		k.wait()
		k.passOn(orders)
		if k.engine == nil {
			if status, over, err := k.startAgain(); over {
				return status, err
			}
			continue
		}
		k.advance(time.Now())
		ended := k.engine.hasEnded()
		k.receive(k.engine) // after the look at its end: what it said before is here then
		if ended {
			if status, over, err := k.ended(); over {
				return status, err
			}
			continue
		}
		k.watch(time.Now())
	}
}

// forward makes what comes by channels wake poll(2).
func forward(cfg Config, wake int, orders chan<- Order, done <-chan struct{}) {
	signals := cfg.Signals
	for {
		select {
		case s, ok := <-signals:
			if n, known := s.(unix.Signal); known {
				_, _ = unix.Write(wake, []byte{byte(n)})
			}
			if !ok {
				signals = nil
			}
		case o := <-cfg.Orders:
			select {
			case orders <- o:
				_, _ = unix.Write(wake, []byte{0})
			default: // it has one already
			}
		case <-done:
			return
		}
	}
}

// wait returns when there may be something to do.
func (k *keeper) wait() {
	fds := [5]unix.PollFd{{Fd: int32(k.wake[0]), Events: unix.POLLIN}, {Fd: -1}, {Fd: -1}, {Fd: -1}, {Fd: -1}}
	var timeout time.Duration
	if e := k.engine; e == nil {
		fds[1].Fd = int32(k.files.get(FuseName)) // it becomes an error when the mount goes
		timeout = max(0, time.Until(k.until))
	} else {
		fds[1] = unix.PollFd{Fd: int32(e.pidfd), Events: unix.POLLIN}
		fds[2] = unix.PollFd{Fd: int32(e.sock), Events: unix.POLLIN}
		timeout = k.patience(time.Now())
		if n := k.next.engine; n != nil {
			fds[3] = unix.PollFd{Fd: int32(n.pidfd), Events: unix.POLLIN}
			fds[4] = unix.PollFd{Fd: int32(n.sock), Events: unix.POLLIN}
			if left := max(0, time.Until(k.next.until)); timeout < 0 || left < timeout {
				timeout = left
			}
		}
	}
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	began := time.Now()
	_, _ = unix.Poll(fds[:], ms) // what it says is looked at anew
	if late := time.Since(began) - timeout; timeout >= 0 && late > k.cfg.Watchdog/2 {
		k.stood(late)
	}
}

// stood forgets time in which this process was stopped, and perhaps the engine as well.
func (k *keeper) stood(late time.Duration) {
	if k.engine != nil {
		k.engine.heard = time.Now()
	}
	if !k.failing.IsZero() {
		k.failing = k.failing.Add(late)
	}
}

// passOn gives signals and orders to the engine. A new one gets them when it can take them.
func (k *keeper) passOn(orders <-chan Order) {
	var b [16]byte
	for {
		n, err := unix.Read(k.wake[0], b[:])
		if err == unix.EINTR { // a bare errno
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		for _, s := range b[:n] {
			switch unix.Signal(s) {
			case 0:
			case UpgradeSignal:
				k.next.wanted = true
			default:
				k.told = append(k.told, unix.Signal(s))
			}
		}
	}
	if k.engine == nil || !k.engine.introduced {
		return
	}
	for _, s := range k.told {
		k.engine.signal(s)
		k.engine.told = append(k.engine.told, s)
		k.engine.toldAt = time.Now()
	}
	k.told = k.told[:0]
	select {
	case o := <-orders:
		if err := k.engine.order(o); err != nil {
			k.cfg.Log.Warn("engine does not take orders", slog.Any("error", err))
		}
	default:
	}
}

// startAgain starts the next engine when its time has come. over: there is nothing to serve any more.
func (k *keeper) startAgain() (status int, over bool, err error) {
	if !k.files.mounted() {
		return 0, true, nil
	}
	now := time.Now()
	if now.Before(k.until) {
		return 0, false, nil
	}
	if err := k.start(); err != nil {
		if err := k.giveUp(now, err.Error()); err != nil {
			return 1, true, err
		}
		pause := k.cfg.pausing(k.pauses.after(life{}))
		k.cfg.Log.Error("no engine", slog.Any("error", err), slog.Duration("pause", pause))
		k.until = now.Add(pause)
	}
	return 0, false, nil
}

// giveUp returns an error if no engine was ready for too long. why is what became of the last one. When this process has ended
// the kernel ends the mount.
func (k *keeper) giveUp(now time.Time, why string) error {
	if k.failing.IsZero() {
		k.failing = now
	}
	if now.Sub(k.failing) < k.cfg.limits.failing {
		return nil
	}
	err := fmt.Errorf("%w: no engine could take it over for %v, the last one: %s", ErrGivenUp, k.cfg.limits.failing, why)
	k.cfg.Log.Error("requests fail from now on", slog.Any("error", err))
	return err
}

// ended decides what follows upon the engine's end.
func (k *keeper) ended() (status int, over bool, err error) {
	e, now := k.engine, time.Now()
	ws := e.reap()
	k.engine = nil
	if e.exits {
		return e.status, true, nil
	}
	if k.next.engine != nil && k.next.engine.standby && k.files.mounted() {
		k.goOn(now)
		return 0, false, nil
	}
	if !k.files.mounted() {
		if !ws.Signaled() && !k.was { // it has said why
			return max(1, ws.ExitStatus()), true, nil
		}
		return 1, true, fmt.Errorf("%w: %s", ErrEnded, describe(ws))
	}
	l := life{total: now.Sub(e.started), killed: ws.Signaled() && ws.Signal() == unix.SIGKILL && !e.killed}
	if !e.ready.IsZero() {
		l.ready = max(1, now.Sub(e.ready))
	}
	if err := k.giveUp(now, describe(ws)); err != nil {
		return 1, true, err
	}
	if now.Sub(e.toldAt) < longLife { // it died of it, or before it
		k.told = append(e.told, k.told...)
	}
	pause := k.cfg.pausing(k.pauses.after(l))
	k.until = now.Add(pause)
	k.cfg.Log.Warn("engine died, another one takes over", slog.Int("pid", e.pid), slog.String("how", describe(ws)),
		slog.Duration("after", l.total), slog.Duration("pause", pause))
	return 0, false, nil
}

func (e *engine) hasEnded() bool {
	fds := [1]unix.PollFd{{Fd: int32(e.pidfd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds[:], 0)
	return n > 0
}

func (k *keeper) close() {
	k.next.abandon()
	if k.engine != nil {
		_ = unix.Close(k.engine.pidfd)
		k.engine.closeSocket()
	}
	k.files.close()
	_ = unix.Close(k.wake[0])
	_ = unix.Close(k.wake[1])
}
