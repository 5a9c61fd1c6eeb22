package actors

// reach is how far a walk runs ahead: in files, or in directories.
type reach struct {
	most    int // that may be ahead
	out     int // asked for and not used yet
	asked   int
	hit     int // of them, used
	lastAsk int // uses of the walk by then
}

// localRun is after how many answers that the store had already a walk asks no more: there is nothing to gain. Now and then,
// after lookEach uses, it asks for one all the same, and so sees whether that is so still.
const (
	localRun = 32
	lookEach = 16
)

// reach returns how far the walk runs ahead in pieces like this one.
func (w *walk) reach(s *piece) *reach {
	if s.isDir {
		return &w.dirs
	}
	return &w.files
}

// room tells whether a quarter of what may be ahead is not.
func (r *reach) room() bool { return r.most-r.out >= max(1, r.most/4) }

// may tells whether one more may be asked for.
func (w *walk) may(r *reach) bool {
	return r.out < r.most && (w.stored < localRun || w.uses-r.lastAsk >= lookEach)
}

// ask notes that a piece is asked for.
func (w *walk) ask(s *piece) {
	s.state = asked
	r := w.reach(s)
	r.out++
	r.asked++
	r.lastAsk = w.uses
}

// came notes an answer, for which the origin was asked or not.
func (w *walk) came(fetched bool) {
	if w.stored++; fetched {
		w.stored = 0
	}
}

// hit notes that what was asked for ahead is used, and releases what it holds of the budget.
func (w *walk) hit(s *piece) {
	r := w.reach(s)
	r.hit++
	r.out--
	if s.state == here {
		w.p.held -= s.held
		s.held = 0
	}
	w.p.core.source.counts.hits.Add(1)
}

// more has the walk run one further ahead, unless what it asks for is all here already. The use that began the walk says nothing.
func (w *walk) more(r *reach, most int) {
	if w.uses++; w.uses > 1 && w.stored < localRun {
		r.most = min(r.most+1, most)
	}
}

// learn returns how far new walks run ahead, after one that asked for so many objects of which so many were used. A job that
// never uses them brings it to 0, where prefetch costs nothing; the first walk that sees a second use in its place begins to
// run ahead by itself, and brings it back.
func (r *reach) learn(now, first int) int {
	switch {
	case r.hit*2 >= r.asked && r.hit > 0:
		return min(max(1, now*2), first*4)
	case r.asked > 0 && r.hit*8 < r.asked:
		return now / 2
	}
	return now
}
