package actors

import (
	"slices"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// walk follows a job through directories, in the order in which we list them, and runs ahead of it: files of the directory
// where it is, then those of the directories below and behind. How far grows with what turns out to be used.
type walk struct {
	p        *prefetcher
	root     *frame
	pin      *tree.Pin // names the commit of what it shows
	deep     bool      // a directory was listed: the ones below may be next
	contents bool      // a file was used: so may be their contents
	retired  bool
	epoch    int // grows when more is to be asked for than before

	files, dirs reach
	uses        int
	stored      int // answers in a row that the store had already

	linger []*frame // done with, in that order
}

// frame is a directory of a walk.
type frame struct {
	walk      *walk
	at        *piece // in the frame above; nil at the root
	path      string
	id        object.ID
	files     []*piece // by their cookies
	subdirs   []*piece
	nextFile  int // the next one to ask for; the last is followed by the first
	nextDir   int // the first below which something is left to ask for
	left      int // files that are untouched
	doneDirs  int // before nextDir, in this epoch
	epoch     int
	exhausted int // the epoch in which nothing was left to ask for, here and below
	out       int // files asked for and not used yet
	gone      bool
}

// piece is an entry of a frame.
type piece struct {
	frame  *frame
	name   string
	id     object.ID
	cookie uint64
	isDir  bool
	state  pieceState
	child  *frame
	fetch  *fetch // while it is under way, of a file
	held   int64  // of the budget
}

type pieceState uint8

const (
	untouched pieceState = iota
	asked
	here
	used // or given up
)

// lingering is how many directories that are done with a walk remembers: a job may list one long before it reads its files.
const lingering = 64

func newFrame(w *walk, at *piece, path string, id object.ID, payload []byte) *frame {
	f := &frame{walk: w, at: at, path: path, id: id}
	entries, err := object.ParseTree(payload)
	if err != nil {
		return f // whoever reads it hears why
	}
	for _, e := range entries {
		s := &piece{frame: f, name: strings.Clone(e.Name), id: e.ID, cookie: tree.Cookie(e.Name), isDir: e.Mode == object.ModeTree}
		switch {
		case e.Mode == object.ModeGitlink, e.ID == object.EmptyBlob, e.ID == object.EmptyTree:
		case s.isDir:
			f.subdirs = append(f.subdirs, s)
		default:
			f.files = append(f.files, s)
		}
	}
	for _, list := range [][]*piece{f.files, f.subdirs} {
		slices.SortFunc(list, func(a, b *piece) int { return comparePieces(a, b.cookie, b.name) })
	}
	f.left = len(f.files)
	return f
}

func comparePieces(s *piece, cookie uint64, name string) int {
	switch {
	case s.cookie < cookie:
		return -1
	case s.cookie > cookie:
		return 1
	}
	return strings.Compare(s.name, name)
}

func find(list []*piece, name string) (int, *piece) {
	cookie := tree.Cookie(name)
	i, ok := slices.BinarySearchFunc(list, name, func(s *piece, name string) int { return comparePieces(s, cookie, name) })
	if !ok {
		return 0, nil
	}
	return i, list[i]
}

func (f *frame) dir(name string) *piece {
	if f == nil {
		return nil
	}
	_, s := find(f.subdirs, name)
	return s
}

// below returns the path of an entry.
func (f *frame) below(name string) string {
	if f.path == "" {
		return name
	}
	return f.path + "/" + name
}

// jump has a frame go on at a directory that is not the next one.
func (f *frame) jump(s *piece) {
	f.nextDir, _ = find(f.subdirs, s.name)
	f.doneDirs, f.exhausted = 0, 0
	for at := f.above(); at != nil; at = at.above() {
		at.exhausted = 0
	}
}

func (f *frame) above() *frame {
	if f.at == nil {
		return nil
	}
	return f.at.frame
}

// usedDir notes that the job is in a directory.
func (w *walk) usedDir(f *frame) {
	s := f.at
	if s == nil || s.state == used {
		return
	}
	if s.state != untouched {
		w.hit(s)
	}
	s.state = used
	w.more(&w.dirs, dirsAhead)
}

// usedFile notes that the job uses a file. What it leaves untouched before that, it may come back to when the frame is through.
func (w *walk) usedFile(f *frame, name string) {
	if !w.contents {
		w.contents = true
		w.epoch++
		for at := f; at.at != nil; at = at.above() { // what comes before it in the order comes last from now on
			at.above().jump(at.at)
		}
	}
	i, s := find(f.files, name)
	if s == nil || s.state == used {
		return
	}
	if s.state == untouched {
		f.left--
		f.nextFile = (i + 1) % len(f.files)
	} else {
		f.out--
		w.hit(s)
	}
	s.state = used
	w.more(&w.files, filesAhead)
}

// listed notes that the job lists directories: it may go on below.
func (w *walk) listed() {
	if !w.deep {
		w.deep = true
		w.epoch++
	}
}

// missed is a prefetch that failed: the walk stops, until the job has found the origin well again.
func (w *walk) missed(s *piece) {
	if s.state != used {
		s.state = used
		w.reach(s).out--
		if !s.isDir {
			s.frame.out--
		}
	}
	w.files.most, w.dirs.most = 0, 0
}

// visit asks for what is next in a frame and below it. It returns false when no more may be ahead.
func (w *walk) visit(f *frame) bool {
	if f.exhausted == w.epoch {
		return true
	}
	done := !w.contents || w.askFiles(f)
	for k := range w.dirsLeft(f) {
		s := f.subdirs[(f.nextDir+k)%len(f.subdirs)]
		if s.state == untouched && (!w.may(&w.dirs) || !w.p.askDir(w, f, s)) {
			return false
		}
		if s.child != nil && !w.visit(s.child) {
			return false
		}
		done = done && w.done(s)
	}
	if done {
		w.exhaust(f)
	}
	return true
}

// dirsLeft returns below how many directories, from the next one on, something may be left to ask for.
func (w *walk) dirsLeft(f *frame) int {
	if !w.deep {
		return 0
	}
	if f.epoch != w.epoch {
		f.epoch, f.doneDirs = w.epoch, 0
	}
	for f.doneDirs < len(f.subdirs) && w.done(f.subdirs[f.nextDir]) {
		f.nextDir = (f.nextDir + 1) % len(f.subdirs)
		f.doneDirs++
	}
	return len(f.subdirs) - f.doneDirs
}

// done tells whether nothing is left to ask for below a directory.
func (w *walk) done(s *piece) bool {
	if s.child == nil {
		return s.state == used || s.state == here
	}
	return s.child.exhausted == w.epoch
}

// askFiles asks for the frame's files, and tells whether all have been asked for.
func (w *walk) askFiles(f *frame) bool {
	for f.left > 0 {
		s := f.files[f.nextFile]
		if s.state == untouched {
			if !w.may(&w.files) || !w.p.askFile(w, s) {
				return false
			}
			f.left--
			f.out++
		}
		f.nextFile = (f.nextFile + 1) % len(f.files)
	}
	return true
}

// exhaust notes that a frame has nothing left to ask for. The oldest of those that the job is through with are forgotten.
func (w *walk) exhaust(f *frame) {
	f.exhausted = w.epoch
	if w.linger = append(w.linger, f); len(w.linger) <= lingering {
		return
	}
	old := w.linger[0]
	w.linger = w.linger[1:]
	switch {
	case old.gone || old.at == nil || old.exhausted != w.epoch: // it comes again when it is
	case old.through():
		old.at.child = nil
		w.drop(old)
	default:
		w.linger = append(w.linger, old)
	}
}

// through tells whether the job has used all that was asked for in a frame, and nothing below is remembered.
func (f *frame) through() bool {
	return f.at.state == used && f.out == 0 && !slices.ContainsFunc(f.subdirs, func(s *piece) bool { return s.child != nil })
}

// drop forgets a frame and those below it, and takes back what is under way for them, all at once: one by one, the next in line
// would start for each.
func (w *walk) drop(f *frame) {
	if gone := w.forget(f, nil); len(gone) > 0 {
		w.p.core.loader.Tell(&abandon{Waiters: gone})
	}
}

func (w *walk) forget(f *frame, gone []waiter) []waiter {
	f.gone = true
	if w.p.frames[f.path] == f {
		delete(w.p.frames, f.path)
	}
	for _, s := range f.files {
		if s.fetch != nil {
			gone = append(gone, s.fetch)
			s.fetch = nil
		}
		w.p.held -= s.held
		s.held = 0
	}
	for _, s := range f.subdirs {
		w.p.held -= s.held
		s.held = 0
		if s.child != nil {
			gone = w.forget(s.child, gone)
		}
	}
	return gone
}
