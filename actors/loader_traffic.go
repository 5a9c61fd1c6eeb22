package actors

// defaultFetches is how many fetches an engine has under way at once, if its Config does not say. It is what the HTTP driver
// keeps connections for.
const defaultFetches = 64

// traffic says which fetches are under way and which is next. It is the loader's, whose incarnations share it: the places that
// running workers hold are not free after a panic.
//
// Demand goes before prefetch. Prefetch leaves a quarter of the places to demand, which so finds one free mostly. Among mounts
// the one with the fewest fetches under way is next, and among equals the one that waited longest.
type traffic struct {
	limit        *limit
	running      int
	runningAhead int
	shares       map[*source]*share
	turn         uint64
}

// share is what one mount has of it.
type share struct {
	demand, ahead         []*flight // in line; also those whose time has passed, see inLine
	running, runningAhead int
	turn                  uint64 // when it was last served
}

func newTraffic(fetches int) *traffic {
	if fetches <= 0 {
		fetches = defaultFetches
	}
	return &traffic{limit: newLimit(fetches), shares: make(map[*source]*share)}
}

// aheadPart is how many of so many places prefetch may take.
func aheadPart(places int) int { return max(1, places*3/4) }

func (t *traffic) share(s *source) *share {
	h := t.shares[s]
	if h == nil {
		h = &share{}
		t.shares[s] = h
	}
	return h
}

// places returns how many fetches a mount may have under way at once.
func (t *traffic) places(s *source) int {
	if s.fetches > 0 {
		return min(s.fetches, t.limit.places())
	}
	return t.limit.places()
}

// line has a flight stand in line.
func (t *traffic) line(f *flight) {
	h := t.share(f.source)
	if f.urgent = f.demand; f.urgent {
		h.demand = append(h.demand, f)
	} else {
		h.ahead = append(h.ahead, f)
	}
}

// promote makes demand of a prefetch.
func (t *traffic) promote(f *flight) {
	f.urgent = true
	f.source.counts.joined.Add(1)
	h := t.share(f.source)
	if f.placed {
		t.runningAhead--
		h.runningAhead--
		return
	}
	h.demand = append(h.demand, f) // and passes by its place in the other line
}

// next takes the flight that is to start now out of its line; nil if none may.
func (t *traffic) next() *flight {
	all := t.limit.places()
	if t.running >= all {
		return nil
	}
	f := t.pick(func(s *source, h *share) *[]*flight {
		if h.demand = inLine(h.demand, true); h.running >= t.places(s) {
			return nil
		}
		return &h.demand
	})
	if f == nil && t.runningAhead < aheadPart(all) {
		f = t.pick(func(s *source, h *share) *[]*flight {
			n := t.places(s)
			if h.ahead = inLine(h.ahead, false); h.running >= n || h.runningAhead >= aheadPart(n) {
				return nil
			}
			return &h.ahead
		})
	}
	return f
}

// inLine drops the flights at the head of a line that have left it.
func inLine(line []*flight, urgent bool) []*flight {
	for len(line) > 0 && (line[0].over || line[0].placed || line[0].urgent != urgent) {
		line = line[1:]
	}
	return line
}

// pick takes the first flight of the line that is served next, of those that line returns.
func (t *traffic) pick(line func(*source, *share) *[]*flight) *flight {
	var best *share
	var from *[]*flight
	for s, h := range t.shares {
		q := line(s, h)
		if q == nil || len(*q) == 0 {
			continue
		}
		if best == nil || h.running < best.running || h.running == best.running && h.turn < best.turn {
			best, from = h, q
		}
	}
	if best == nil {
		return nil
	}
	f := (*from)[0]
	*from = (*from)[1:]
	t.turn++
	best.turn = t.turn
	t.place(f, best)
	return f
}

func (t *traffic) place(f *flight, h *share) {
	f.placed = true
	t.running++
	h.running++
	if !f.urgent {
		t.runningAhead++
		h.runningAhead++
	}
}

// release gives a flight's place back, once.
func (t *traffic) release(f *flight) {
	if !f.placed {
		return
	}
	f.placed = false
	f.over = true
	h := t.share(f.source)
	t.running--
	h.running--
	if !f.urgent {
		t.runningAhead--
		h.runningAhead--
	}
}

// empty empties a mount's lines.
func (t *traffic) empty(s *source) {
	h := t.share(s)
	h.demand, h.ahead = nil, nil
}

// hand has a flight count for another mount.
func (t *traffic) hand(f *flight, to *source) {
	placed := f.placed
	if placed {
		t.release(f)
		f.over = false
	}
	f.source = to
	if placed {
		t.place(f, t.share(to))
		return
	}
	t.line(f)
}

// quiet tells whether a mount has nothing under way, and forgets it if so.
func (t *traffic) quiet(s *source) bool {
	if h := t.shares[s]; h != nil && h.running > 0 {
		return false
	}
	delete(t.shares, s)
	return true
}

// forgetQueued empties the lines, for a loader that begins anew: it is sent again what stood in them.
func (t *traffic) forgetQueued() {
	for _, h := range t.shares {
		h.demand, h.ahead = nil, nil
	}
}
