package monoserver

import (
	"maps"
	"net/http"
	"sync"
)

// Traffic is what one route was asked and answered.
type Traffic struct {
	Requests uint64 `json:"requests"`  // those that a fault answered too
	Bytes    uint64 `json:"bytes"`     // of bodies that were sent
	InFlight int    `json:"in_flight"` // being answered now
	Peak     int    `json:"peak"`      // the most that were answered at once
	// Objects counts requests by what they named: a blob's id, a directory's absolute path, a changelist's link.
	Objects map[string]uint64 `json:"objects,omitempty"`
}

// counter counts a route's traffic.
type counter struct {
	object func(*http.Request) string // what a request names; immutable

	mu      sync.Mutex
	traffic Traffic // protected by mu
}

// begin counts a request.
func (c *counter) begin(r *http.Request) {
	name := c.object(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traffic.Requests++
	c.traffic.InFlight++
	c.traffic.Peak = max(c.traffic.Peak, c.traffic.InFlight)
	if c.traffic.Objects == nil {
		c.traffic.Objects = make(map[string]uint64)
	}
	c.traffic.Objects[name]++
}

// end counts its answer.
func (c *counter) end(bytes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traffic.InFlight--
	c.traffic.Bytes += bytes
}

func (c *counter) load() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.traffic
	t.Objects = maps.Clone(t.Objects)
	return t
}

// reset forgets all but the requests that are being answered.
func (c *counter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.traffic = Traffic{InFlight: c.traffic.InFlight, Peak: c.traffic.InFlight}
}

// counted is a ResponseWriter that counts the body's bytes.
type counted struct {
	http.ResponseWriter
	bytes uint64
}

func (w *counted) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += uint64(n)
	return n, err
}

// Unwrap lets faults flush and take the connection over.
func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Traffic returns what each route was asked since New or ResetTraffic, by its pattern as in the package comment; routes
// that had nothing to answer are left out.
func (s *Server) Traffic() map[string]Traffic {
	all := make(map[string]Traffic)
	for path, c := range s.counters {
		if t := c.load(); t.Requests > 0 || t.Peak > 0 {
			all[path] = t
		}
	}
	return all
}

// ResetTraffic starts counting anew.
func (s *Server) ResetTraffic() {
	for _, c := range s.counters {
		c.reset()
	}
}

// Counts returns how often each route was asked, as Traffic does.
func (s *Server) Counts() map[string]uint64 {
	counts := make(map[string]uint64)
	for path, t := range s.Traffic() {
		if t.Requests > 0 {
			counts[path] = t.Requests
		}
	}
	return counts
}
