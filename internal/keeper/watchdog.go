package keeper

import (
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// watched tells whether the engine must say that it makes progress. While it mounts it may wait for the origin, and somebody
// waits for it; a takeover needs nothing but what is here.
func (k *keeper) watched() bool {
	e := k.engine
	return k.cfg.Watchdog > 0 && (e.takesOver || !e.ready.IsZero()) && !e.stopping && !e.killed
}

// patience is how long poll(2) may take; negative: for ever.
func (k *keeper) patience(now time.Time) time.Duration {
	switch e := k.engine; {
	case !k.watched():
		return -1
	case !e.quit.IsZero():
		return max(0, e.quit.Add(k.cfg.limits.dump).Sub(now))
	case e.ready.IsZero():
		return max(0, e.heard.Add(k.cfg.limits.start).Sub(now))
	default:
		return max(0, e.heard.Add(k.cfg.Watchdog).Sub(now))
	}
}

// watch has an engine that hangs say where, and end.
func (k *keeper) watch(now time.Time) {
	if !k.watched() || k.patience(now) > 0 {
		return
	}
	e := k.engine
	if e.quit.IsZero() {
		e.quit = now
		k.cfg.Log.Error("engine makes no progress, dumping its goroutines", slog.Int("pid", e.pid), slog.Duration("for", now.Sub(e.heard)))
		e.signal(unix.SIGQUIT)
		return
	}
	e.killed = true
	k.cfg.Log.Error("engine does not end, killing it", slog.Int("pid", e.pid))
	e.signal(unix.SIGKILL)
}
