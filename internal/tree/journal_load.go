package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sync/atomic"
)

// countedRequests is of how many requests it is remembered what they counted, if nobody says that they were answered.
const countedRequests = 1024

// Spot is a name in a directory.
type Spot struct {
	Parent uint64
	Name   string
}

// Intent is what a request is about to do.
type Intent struct {
	Ino      uint64 // the node that is removed, renamed or linked; 0 if one is made
	From, To Spot
	// Displaced is the node that stood at To.
	Displaced uint64
	// Lower and DisplacedLower are the two nodes' states while those are in the lower layer, else nil.
	Lower, DisplacedLower *State
}

// Dormant is a node that the kernel knows and this process has not made yet. Its parent need not be known: a file with several
// names stands by one of them, and the kernel may have forgotten the directory of that one.
type Dormant struct {
	Parent uint64
	Name   string
	Count  int64  // lookups
	Orphan *State // nil if it has a name
	Type   uint32 // the S_IFMT bits
}

// Recovered is what a journal says.
type Recovered struct {
	Notes map[byte][]byte
	Nodes map[uint64]*Dormant // what the kernel knows but the root, by number
	// Forgotten are directories that the kernel does not know any more, above nodes that it knows.
	Forgotten map[uint64]Spot
	Intents   map[uint64]Intent // begun and not answered, by request
	// Counted has the nodes that each of the last requests counted a lookup of, as often as it did, but for those that were
	// answered or took it back.
	Counted map[uint64][]uint64

	order []uint64 // the requests in Counted, the oldest first
}

// LoadJournal reads a journal and goes on with it. The record at the end may be cut short, since its writer died: it is
// cut off. Any other damage gives ErrJournalCorrupt, and a gap ErrJournalBroken.
func LoadJournal(f *os.File) (*Journal, *Recovered, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("load journal: %w", err)
	}
	r := newRecovered()
	start, err := readHeader(f, st.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("load journal: %w", err)
	}
	if start == 0 { // its process died before it had written anything else
		if err := f.Truncate(0); err != nil {
			return nil, nil, fmt.Errorf("load journal: %w", err)
		}
		j, err := NewJournal(f)
		return j, r, err
	}
	log := logReader{f: f, off: start, limit: st.Size()}
	if err := log.replay(r); err != nil {
		return nil, nil, fmt.Errorf("load journal: %w", err)
	}
	r.prune()
	if log.off < st.Size() {
		if err := f.Truncate(log.off); err != nil {
			return nil, nil, fmt.Errorf("load journal: cut the end: %w", err)
		}
	}
	j := &Journal{f: f, start: start, end: log.off, size: log.size}
	j.least = compactFrom
	j.limit = max(j.least, 2*log.compact)
	j.punch(firstStart, start)
	return j, r, nil
}

func newRecovered() *Recovered {
	return &Recovered{
		Notes: map[byte][]byte{}, Nodes: map[uint64]*Dormant{}, Forgotten: map[uint64]Spot{},
		Intents: map[uint64]Intent{}, Counted: map[uint64][]uint64{},
	}
}

// readHeader returns where the live generation starts; 0 if the journal was never finished.
func readHeader(f io.ReaderAt, size int64) (start int64, err error) {
	var head [16]byte
	if n, err := f.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	} else if n < len(head) && size > int64(n) {
		return 0, io.ErrUnexpectedEOF
	}
	magic, version := string(head[:len(journalMagic)]), head[len(journalMagic)]
	start = int64(binary.LittleEndian.Uint64(head[startAt:]))
	switch {
	case magic == string(make([]byte, len(magic))) && version == 0:
		return 0, nil
	case magic != journalMagic:
		return 0, damaged(0, "not a journal")
	case version != journalVersion:
		return 0, damaged(int64(len(journalMagic)), fmt.Sprintf("version %d, this program writes %d", version, journalVersion))
	case start == 0:
		return 0, ErrJournalBroken
	case start < firstStart || start >= size || start%page != 0 || start > maxOffset:
		return 0, damaged(startAt, "nothing starts there")
	}
	return start, nil
}

func damaged(off int64, what string) error {
	return fmt.Errorf("%w: offset %d: %s", ErrJournalCorrupt, off, what)
}

// logReader reads records one behind the other.
type logReader struct {
	f     io.ReaderAt
	off   int64 // of the next record
	limit int64 // the file's size
	until int64 // stop behind the record that ends here, if not 0
	size  int64 // bytes of records read
	// compact is how many of them compaction wrote; 0 in the first generation
	compact int64
	window  []byte // what is behind off
	buf     []byte
	stop    *atomic.Bool // gives up if set
}

const (
	windowSize = 1 << 20
	maxOffset  = 1 << 62
	minNode    = 16 // bytes in the file that a node takes at least
)

// replay reads to the end of the log. It leaves off where the next record is to be written.
func (l *logReader) replay(r *Recovered) error {
	start := l.off
	for first := true; l.until == 0 || l.off < l.until; first = false {
		at := l.off
		kind, payload, err := l.next()
		switch {
		case errors.Is(err, io.EOF) && !first:
			return nil
		case errors.Is(err, io.EOF):
			return damaged(startAt, "nothing where it starts")
		case err != nil:
			return err
		}
		d := decoder{b: payload}
		switch {
		case first != (kind == recStart):
			return damaged(at, "not the start of a generation, or one inside of another")
		case first:
			if d.ino() != uint64(start) {
				return damaged(at, "the start of another generation")
			}
			r.Nodes = make(map[uint64]*Dormant, min(d.uvarint(), uint64(l.limit/minNode)))
		case kind == recJump:
			to := int64(d.ino())
			if to < l.off || to > maxOffset {
				return damaged(at, "it leads nowhere")
			}
			if l.off == l.until {
				return nil
			}
			if l.compact == 0 && start != firstStart {
				l.compact = l.size
			}
			l.off, l.window = to, nil
		default:
			r.apply(kind, &d)
		}
		if d.bad {
			return damaged(at, fmt.Sprintf("no record of kind %q has this content", kind))
		}
	}
	return nil
}

// next returns the next record. io.EOF says that there is none, or that the file ends in it.
func (l *logReader) next() (kind byte, payload []byte, err error) {
	if err := l.have(headLen); err != nil {
		return 0, nil, err
	}
	n, ok := length(l.window[:headLen])
	if !ok {
		return 0, nil, damaged(l.off, "bad length")
	}
	if err := l.have(headLen + n + sumLen); err != nil {
		return 0, nil, err
	}
	body, sum := l.window[:headLen+n], l.window[headLen+n:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return 0, nil, damaged(l.off, "bad checksum")
	}
	all := headLen + n + sumLen
	l.window = l.window[all:]
	l.off += int64(all)
	l.size += int64(all)
	return body[headLen], body[headLen+1:], nil
}

// have sees to it that n bytes are in the window.
func (l *logReader) have(n int) error {
	if len(l.window) >= n {
		return nil
	}
	if l.off+int64(n) > l.limit {
		return io.EOF
	}
	if l.stop != nil && l.stop.Load() {
		return errStopped
	}
	if len(l.buf) < n {
		l.buf = make([]byte, max(int64(n), min(windowSize, l.limit-l.off)))
	}
	kept := copy(l.buf, l.window)
	more := min(int64(len(l.buf)), l.limit-l.off)
	if _, err := l.f.ReadAt(l.buf[kept:more], l.off+int64(kept)); err != nil {
		return fmt.Errorf("read at %d: %w", l.off, err)
	}
	l.window = l.buf[:more]
	return nil
}

// apply does what a record says.
func (r *Recovered) apply(kind byte, d *decoder) {
	switch kind {
	case recNote:
		r.Notes[d.byte()] = slices.Clone(d.rest())
	case recKnown:
		unique := d.uvarint()
		ino, n, name := d.node()
		if old := r.Nodes[ino]; old != nil {
			n.Count += old.Count
		}
		n.Name = string(name)
		r.Nodes[ino] = &n
		delete(r.Forgotten, ino)
		r.count(unique, ino)
	case recNode:
		ino, n, name := d.node()
		n.Name = string(name)
		if n.Count == 0 {
			r.Forgotten[ino] = n.spot()
		} else {
			r.Nodes[ino] = &n
		}
	case recAgain:
		unique, ino := d.uvarint(), d.ino()
		if n := r.Nodes[ino]; n != nil {
			n.Count++
			r.count(unique, ino)
		}
	case recForgot:
		r.drop(d.ino(), d.uvarint())
	case recCounted:
		unique := d.uvarint()
		r.count(unique, d.inos()...)
	case recTaken:
		unique := d.uvarint()
		for _, ino := range d.inos() {
			r.drop(ino, 1)
			r.uncount(unique, ino)
		}
	case recMoved:
		if n := r.Nodes[d.ino()]; n != nil {
			n.Parent, n.Name, n.Orphan = d.ino(), string(d.rest()), nil
		}
	case recOrphaned:
		if n := r.Nodes[d.ino()]; n != nil {
			n.Orphan = d.state()
		}
	case recBegin:
		unique := d.uvarint()
		r.Intents[unique] = d.intent()
	case recAnswered:
		unique := d.uvarint()
		delete(r.Intents, unique)
		r.answered(unique)
	case recBatch:
		r.batch(d)
	default:
		d.bad = true
	}
}

func (r *Recovered) drop(ino, count uint64) {
	if n := r.Nodes[ino]; n != nil {
		if n.Count -= int64(count); n.Count <= 0 {
			delete(r.Nodes, ino)
			if IsDir(n.Type) && n.Orphan == nil {
				r.Forgotten[ino] = n.spot()
			}
		}
	}
}

func (d *Dormant) spot() Spot { return Spot{Parent: d.Parent, Name: d.Name} }

// prune leaves those of the forgotten directories that are above a node.
func (r *Recovered) prune() {
	above := make(map[uint64]Spot)
	for _, n := range r.Nodes {
		for at := n.Parent; ; {
			s, forgotten := r.Forgotten[at]
			if _, seen := above[at]; !forgotten || seen {
				break
			}
			above[at] = s
			at = s.Parent
		}
	}
	r.Forgotten = above
}

// count remembers that a request counted lookups.
func (r *Recovered) count(unique uint64, inos ...uint64) {
	if unique == 0 || len(inos) == 0 {
		return
	}
	old, known := r.Counted[unique]
	r.Counted[unique] = append(old, inos...)
	if known {
		return
	}
	if r.order = append(r.order, unique); len(r.order) > countedRequests {
		delete(r.Counted, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *Recovered) uncount(unique, ino uint64) {
	inos := r.Counted[unique]
	if i := slices.Index(inos, ino); i >= 0 {
		if inos = slices.Delete(inos, i, i+1); len(inos) == 0 {
			r.answered(unique)
			return
		}
		r.Counted[unique] = inos
	}
}

func (r *Recovered) answered(unique uint64) {
	if _, ok := r.Counted[unique]; !ok {
		return
	}
	delete(r.Counted, unique)
	for i := len(r.order) - 1; i >= 0; i-- { // mostly one of the last
		if r.order[i] == unique {
			r.order = slices.Delete(r.order, i, i+1)
			return
		}
	}
}
