package actors

import (
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

// Watch looks whether a mount's requests come to an end. It is for one goroutine, which asks now and then.
type Watch struct {
	mount *Mount
	seen  remote.Counts // of the origin
	since time.Time     // they have been the same
}

// NewWatch begins to watch.
func NewWatch(m *Mount) *Watch { return &Watch{mount: m, since: time.Now()} }

// Stuck returns the operation that has been under way for longer than the limit, and for how long, although nothing came from
// the origin in that time either: "" if there is none. A request waits for the origin, for another one that does, or for upper's
// file system; what waits for longer is taken to wait for ever. An fsync to a disk that is slower than the limit is mistaken so.
func (w *Watch) Stuck(limit time.Duration) (op string, age time.Duration) {
	now := time.Now()
	s := w.mount.Stats()
	if s.Origin != w.seen {
		w.seen, w.since = s.Origin, now
	}
	l := w.mount.live.Load()
	if l == nil || now.Sub(w.since) < limit {
		return "", 0
	}
	op, began := l.conn.Oldest()
	if age = now.Sub(began); op == "" || age < limit {
		return "", 0
	}
	return op, age
}
