package actors

import (
	"github.com/antares-actor/antares-actor/internal/tree"
)

const (
	// DefaultPrefetch is a mount's budget for what is fetched ahead, in bytes, if its spec does not say.
	DefaultPrefetch = 64 << 20
	// walksAtOnce is how many places a job may read at that are followed: more than a parallel build has threads on most
	// machines, and few enough that the oldest is soon known to be useless.
	walksAtOnce = 16
	// filesAhead and dirsAhead bound how far a walk runs ahead. At a distance of 20 ms, 64 fetches at once are 3,200 objects a
	// second, and a reader of files that are here takes some 5,000.
	filesAhead = 1024
	dirsAhead  = 128
	// firstFiles and firstDirs are how far a walk runs ahead of its first use. Each use of what was fetched ahead is one more,
	// so that the distance doubles with each round trip.
	firstFiles = 16
	firstDirs  = 4
)

// use is the fact that the job uses a node's content, or its listing, for the first time.
type use struct {
	Node *tree.Node
	How  tree.Use
}

// aheadFetched is the fact that a prefetch has ended.
type aheadFetched struct {
	Piece   *piece
	Outcome outcome
}

// prefetcher owns what a mount fetches ahead of its use. It follows what a job reads (walk), and never has more than its budget
// in bytes that were fetched, or are being fetched, and not used yet.
type prefetcher struct {
	core   *core
	self   *handle
	budget int64
	held   int64             // of it
	frames map[string]*frame // the directories of all walks, by path at the origin
	walks  []*walk           // the one that was used last comes last
	files  int               // how far new walks run ahead: what older ones have taught
	dirs   int
}

func newPrefetcher(c *core, self *handle, budget int64) *prefetcher {
	return &prefetcher{core: c, self: self, budget: budget, frames: make(map[string]*frame), files: firstFiles, dirs: firstDirs}
}

func (p *prefetcher) receive(msg any) {
	switch m := msg.(type) {
	case *use:
		p.used(m)
	case *aheadFetched:
		p.fetched(m)
	case *saveProfile:
		p.core.profile.saveLater(p.core, p.self)
	}
}

func (p *prefetcher) failed(any)    {}
func (p *prefetcher) parked() []any { return nil } // nobody waits for what is fetched ahead

// touch tells the prefetcher of the first use of what the origin has.
func (c *core) touch(n *tree.Node, s *tree.State, how tree.Use) {
	if c.prefetcher == nil || s.Object.IsZero() || s.Where == tree.Upper && !n.IsDir() || n.Used(how) {
		return
	}
	if how == tree.Read && s.Size >= 0 && s.Size <= smallBlob && !n.IsDir() && n.Used(tree.Sized) { // says nothing new
		return
	}
	if _, local := s.Local(); local && !n.IsDir() {
		return
	}
	c.prefetcher.Tell(&use{Node: n, How: how})
}

func (p *prefetcher) used(m *use) {
	dir, name := m.Node, ""
	if !m.Node.IsDir() {
		at := m.Node.Place()
		dir, name = at.Parent, at.Name
	}
	path := p.core.dicfuse.Path(dir.OriginPath())
	if m.How == tree.Shown {
		p.shown(p.frames[path], name)
		return
	}
	p.core.profile.note(path, name, m)
	if p.budget == 0 {
		return
	}
	f := p.frames[path]
	if f != nil && f.id != dir.State().Object { // the mount shows another commit
		p.retire(f.walk)
		f = nil
	}
	if f == nil {
		f = p.begin(dir, path, m)
	}
	if f == nil {
		return
	}
	w := f.walk
	switch {
	case m.Node.IsDir():
		if m.How == tree.Listed {
			w.listed()
		}
		w.usedDir(f)
	default:
		w.usedFile(f, name)
	}
	p.newest(w)
	p.fill(w)
}

// shown takes a file that was fetched ahead for used when its size goes out with a listing: the kernel does not ask for it
// again, and of a job that only looks at sizes nothing else is heard. It is no sign that contents are wanted.
func (p *prefetcher) shown(f *frame, name string) {
	if f == nil {
		return
	}
	if _, s := find(f.files, name); s != nil && (s.state == asked || s.state == here) {
		f.walk.usedFile(f, name)
		p.fill(f.walk)
	}
}

// begin has a walk go on in a directory that it did not expect to be next, or begins a new one there: a job that passes through
// a directory on the way to another says nothing of it.
func (p *prefetcher) begin(dir *tree.Node, path string, m *use) *frame {
	state := dir.State()
	payload, ok := p.core.source.here(state.Object)
	if !ok {
		return nil // a listing that is a guess is in no store
	}
	if at := dir.Place(); at.Parent != nil {
		above := p.frames[p.core.dicfuse.Path(at.Parent.OriginPath())]
		if s := above.dir(at.Name); s != nil && s.child == nil && s.id == state.Object && (s.state != untouched || m.How == tree.Listed) {
			above.jump(s)
			return p.expand(s, payload)
		}
	}
	if m.Node.IsDir() && m.How != tree.Listed {
		return nil
	}
	w := &walk{p: p, files: reach{most: p.files}, dirs: reach{most: p.dirs}, epoch: 1, pin: state.Pin}
	w.root = newFrame(w, nil, path, state.Object, payload)
	p.frames[path] = w.root
	if p.walks = append(p.walks, w); len(p.walks) > walksAtOnce {
		p.retire(p.walks[0])
	}
	return w.root
}

// newest marks a walk as used last.
func (p *prefetcher) newest(w *walk) {
	for i, other := range p.walks {
		if other == w {
			copy(p.walks[i:], p.walks[i+1:])
			p.walks[len(p.walks)-1] = w
			return
		}
	}
}

// retire ends a walk and learns from it. What it has under way and nobody waits for is taken back.
func (p *prefetcher) retire(w *walk) {
	for i, other := range p.walks {
		if other == w {
			p.walks = append(p.walks[:i], p.walks[i+1:]...)
			break
		}
	}
	w.retired = true
	w.drop(w.root)
	p.files = w.files.learn(p.files, firstFiles)
	p.dirs = w.dirs.learn(p.dirs, firstDirs)
}

// fill asks for what is next, many at a time: then the requests, the answers and the server's work come in bursts, and for
// most of them nobody has to be woken up.
func (p *prefetcher) fill(w *walk) {
	if !w.retired && (w.files.room() || w.dirs.room()) {
		w.visit(w.root)
	}
}

// askFile fetches a file's content, if the budget allows for the largest that it may bring.
func (p *prefetcher) askFile(w *walk, s *piece) bool {
	if p.held+smallBlob > p.budget {
		return false
	}
	p.held += smallBlob
	s.held = smallBlob
	w.ask(s)
	s.fetch = &fetch{
		Source: p.core.source, Want: wantSmall, ID: s.id, Ahead: true,
		Done: func(o outcome) { p.self.Tell(&aheadFetched{Piece: s, Outcome: o}) },
	}
	p.core.loader.Tell(s.fetch)
	return true
}

// askDir fetches a directory's tree. How large it is shows when it is here.
func (p *prefetcher) askDir(w *walk, f *frame, s *piece) bool {
	if p.held >= p.budget {
		return false
	}
	w.ask(s)
	p.core.dicfuseActor.Tell(&readAhead{ID: s.id, Pin: w.pin, Path: f.below(s.name), Done: func(o outcome) {
		p.self.Tell(&aheadFetched{Piece: s, Outcome: o})
	}})
	return true
}

func (p *prefetcher) fetched(m *aheadFetched) {
	s, w := m.Piece, m.Piece.frame.walk
	if w.p != p { // of an incarnation that panicked
		return
	}
	p.held -= s.held
	s.held, s.fetch = 0, nil
	if w.retired || s.frame.gone {
		return
	}
	w.came(m.Outcome.Asked)
	if m.Outcome.Err != nil {
		w.missed(s)
		return
	}
	if s.state == asked {
		s.state = here
		s.held = m.Outcome.Bytes
		p.held += s.held
	}
	if s.isDir && s.child == nil {
		if _, ok := p.core.source.here(s.id); !ok {
			w.deep = false // a guess of the origin's, which is kept nowhere: whoever needs it asks again
			return
		}
		p.expand(s, m.Outcome.Payload)
	}
	p.fill(w)
}

// expand makes the frame of a directory whose tree is here.
func (p *prefetcher) expand(s *piece, payload []byte) *frame {
	path := s.frame.below(s.name)
	f := p.frames[path]
	if f == nil {
		f = newFrame(s.frame.walk, s, path, s.id, payload)
		p.frames[path] = f
		s.child = f
	}
	return f
}
