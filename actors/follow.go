package actors

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// follow switches a mount to what its revision has moved to, as often as its spec says, until the mount ends. Trouble with the
// origin leaves it as it is, and is logged when it begins.
func (m *Mount) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-m.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	ticks := time.NewTicker(m.spec.Follow)
	defer ticks.Stop()
	failing := false
	for {
		select {
		case <-m.done:
			return
		case <-ticks.C:
		}
		_, err := m.Switch(ctx, m.spec.Rev)
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrStopped) {
			continue // the mount is ending
		}
		if err != nil && !failing {
			m.engine.cfg.Log.Warn("the mount cannot follow", slog.String("on", m.spec.Mountpoint), slog.Any("error", err))
		}
		failing = err != nil
	}
}
