package keeper

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// UpgradeSignal asks a keeper for another engine, of the program that stands by now where the keeper's own was started.
const UpgradeSignal = unix.SIGUSR2

const (
	standbyTime  = 30 * time.Second // for the next engine to be ready to take over
	handoverTime = 10 * time.Second // for the one that serves to finish what it has read
)

// upgrade is the change of engines. The next one gets everything ready that it can beside the one that serves, which is then asked
// to finish what it has read and to end. If the next one fails before that, nothing has happened.
type upgrade struct {
	wanted  bool
	engine  *engine   // the next one; nil: no change is under way
	program *os.File  // which it is; further ones are started from it
	until   time.Time // the step that is under way may take
	asked   time.Time // when the old engine was asked to hand over; zero: not yet
	went    *engine   // the next engine, since it has its order to go, until it is ready
}

// advance takes an upgrade on, as far as it goes at the moment.
func (k *keeper) advance(now time.Time) {
	u := &k.next
	if u.wanted && u.engine == nil {
		u.wanted = false
		if err := k.standBy(now); err != nil {
			k.refuse(err.Error())
		}
	}
	n := u.engine
	if n == nil {
		return
	}
	ended := n.hasEnded()
	k.receive(n)
	var failed string
	switch {
	case ended:
		failed = "the new engine ended"
	case n.introduced && n.session != k.engine.session:
		failed = fmt.Sprintf("the new engine understands sessions %q, and this one is %q: unmount, and mount with the new program", n.session, k.engine.session)
	case u.asked.IsZero() && now.After(u.until):
		failed = "the new engine does not get ready"
	case u.asked.IsZero() && n.standby:
		u.asked, u.until = now, now.Add(handoverTime)
		if err := k.engine.order(Handover); err != nil {
			k.cfg.Log.Warn("engine does not take orders", slog.Any("error", err)) // it is killed in time
		}
	case !u.asked.IsZero() && now.After(u.until):
		k.cfg.Log.Warn("engine does not hand over, killing it", slog.Int("pid", k.engine.pid))
		k.engine.signal(unix.SIGKILL)
		u.until = now.Add(handoverTime)
	}
	if failed != "" {
		k.refuse(failed)
		u.abandon()
	}
}

// refuse says why there is no upgrade: in the log, and to the engine that goes on, which publishes it.
func (k *keeper) refuse(why string) {
	k.cfg.Log.Error("no upgrade", slog.String("error", why))
	if err := k.engine.order(Order(Refused + strings.ReplaceAll(why, "\n", " "))); err != nil {
		k.cfg.Log.Warn("engine does not take orders", slog.Any("error", err))
	}
}

// standBy starts the next engine.
func (k *keeper) standBy(now time.Time) error {
	f, err := os.Open(strings.TrimSuffix(k.path, " (deleted)"))
	if err != nil {
		return err
	}
	n, err := k.newEngine(running(f), envStandby+"=1")
	if err != nil {
		_ = f.Close()
		return err
	}
	k.next = upgrade{engine: n, program: f, until: now.Add(standbyTime)}
	return nil
}

// running is a path by which an open program can be started, whatever stands at its own path meanwhile. The descriptor is ours:
// the new process has others under its number.
func running(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }

// goOn has the next engine take over from one that has ended, as it was asked to, or before.
func (k *keeper) goOn(now time.Time) {
	u := &k.next
	if u.asked.IsZero() {
		u.asked = now
	}
	if k.held != nil {
		_ = k.held.Close()
	}
	k.engine, k.held, k.program = u.engine, u.program, running(u.program)
	k.engine.heard = now
	if err := k.engine.order(Order(goOrder + strconv.FormatInt(u.asked.UnixNano(), 10))); err != nil {
		k.cfg.Log.Error("engine does not take orders", slog.Any("error", err))
	}
	k.next = upgrade{went: k.engine, asked: u.asked}
}

// report says how long nobody answered.
func (u *upgrade) report(e *engine, log *slog.Logger) {
	if u.went != e {
		return
	}
	log.Info("upgraded", slog.Int("pid", e.pid), slog.Duration("pause", e.ready.Sub(u.asked)))
	u.went = nil
}

// abandon ends the next engine.
func (u *upgrade) abandon() {
	if u.engine == nil {
		return
	}
	u.engine.signal(unix.SIGKILL)
	_ = u.engine.reap()
	_ = u.program.Close()
	*u = upgrade{}
}
