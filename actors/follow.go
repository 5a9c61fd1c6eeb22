package actors

import (
	"context"
	"log/slog"
	"time"
)

// follow switches a mount to what its revision has moved to, as often as its spec says, until ctx ends with the mount. Trouble
// with the origin leaves it as it is, and is logged when it begins.
func (m *Mount) follow(ctx context.Context) {
	ticks := time.NewTicker(m.spec.Follow)
	defer ticks.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		_, err := m.Switch(ctx, m.spec.Rev)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !failing {
			m.engine.cfg.Log.Warn("the mount cannot follow", slog.String("on", m.spec.Mountpoint), slog.Any("error", err))
		}
		failing = err != nil
	}
}
