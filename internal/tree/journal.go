package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// Errors of a journal.
var (
	// ErrJournalCorrupt reports a file that is not a journal, or has a damaged record. The message has its offset.
	ErrJournalCorrupt = errors.New("damaged node journal")
	// ErrJournalBroken reports a journal that has a gap, since a write to it failed.
	ErrJournalBroken = errors.New("a write to the node journal failed")
)

var errTooLong = errors.New("a record is too long")

// The file begins with a header of two words, each written in one piece: what the file is, and where the live generation
// begins. A file whose first word is zero was never finished by NewJournal; one whose second is zero has a gap.
const (
	journalMagic   = "ANTJRNL"
	journalVersion = 2
	startAt        = 8    // where the second word is
	firstStart     = 4096 // of the first generation; holes are punched in whole pages
)

const (
	bufferLimit = 64 << 10 // a buffer of this size is written without anybody's asking
	spareLimit  = 1 << 20  // larger buffers are not kept
)

// Journal is the log of what the kernel knows: each node's number, name and lookup count, and what requests are about to
// do. It is kept in memory that outlives the process (a memfd that another process holds too), so that the next process
// can go on serving the mount. It survives the death of processes, not of the machine: nothing is synced.
//
// Records gather in a buffer; Flush writes it. So a record costs no system call, and an answer to the kernel costs one at
// most. The records that a kill takes with the buffer are those that nobody saw the effect of.
//
// Safe for concurrent use. A nil *Journal does nothing. After a failed write it is broken: the error is returned once, the
// file is marked, and everything else does nothing.
type Journal struct {
	f *os.File

	mu    sync.Mutex // guards the next four; held during no system call
	buf   []byte     // records that are not written
	over  bool       // broken or closed
	err   error      // why, until somebody was told
	dirty atomic.Bool

	writing    sync.Mutex // guards what follows; taken before mu
	spare      []byte
	end        int64 // where the next record is written
	size       int64 // bytes of records from the live generation's start
	limit      int64 // compact beyond this size
	least      int64 // of limit
	start      int64 // of the live generation
	compacting bool
	compactor  sync.WaitGroup
	closing    atomic.Bool // the compactor is to give up

	trace func(b []byte, off, n int64) error // for tests: sees each write, and with a nil b each hole, before it is made
}

// NewJournal begins a journal in an empty file. The file is written with pwrite(2); its offset is not used.
func NewJournal(f *os.File) (*Journal, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("new journal: %w", err)
	}
	if st.Size() != 0 {
		return nil, fmt.Errorf("new journal: %w", os.ErrExist)
	}
	j := &Journal{f: f, start: firstStart, limit: compactFrom, least: compactFrom}
	first := appendStart(nil, firstStart, 0)
	if _, err := f.WriteAt(first, firstStart); err != nil {
		return nil, fmt.Errorf("new journal: %w", err)
	}
	j.size, j.end = int64(len(first)), firstStart+int64(len(first))
	if err := j.switchTo(firstStart); err != nil {
		return nil, fmt.Errorf("new journal: %w", err)
	}
	if _, err := f.WriteAt(append([]byte(journalMagic), journalVersion), 0); err != nil {
		return nil, fmt.Errorf("new journal: %w", err)
	}
	return j, nil
}

// switchTo makes the generation that starts there the live one. Eight aligned bytes are written whole or not at all: a kill
// is looked for between pages only.
func (j *Journal) switchTo(start int64) error {
	return j.pwrite(binary.LittleEndian.AppendUint64(nil, uint64(start)), startAt)
}

// Note keeps a payload, in place of the one that was noted last under the same kind.
func (j *Journal) Note(kind byte, payload []byte) {
	j.record(recNote, func(b []byte) []byte { return append(append(b, kind), payload...) })
}

// known records that the kernel is being given a node that it did not know. The place is read under the lock: a move is
// published before it is recorded, so whichever record comes second has the new place.
func (j *Journal) known(unique uint64, n *Node) {
	j.record(recKnown, func(b []byte) []byte {
		p, d := n.Place(), Dormant{Type: n.Type, Count: 1}
		d.Parent, d.Name = parentOf(p), p.Name
		if s := n.State(); s.Orphan && s.Where == Lower { // it was recorded in vain while the kernel did not know the node
			d.Orphan = s
		}
		return appendNode(binary.AppendUvarint(b, unique), n.Ino, &d)
	})
}

func parentOf(p *Place) uint64 {
	if p.Parent == nil {
		return 0
	}
	return p.Parent.Ino
}

// again records one more lookup.
func (j *Journal) again(unique, ino uint64) {
	j.record(recAgain, func(b []byte) []byte {
		return appendIno(binary.AppendUvarint(b, unique), ino)
	})
}

// forgot records that the kernel let go of lookups.
func (j *Journal) forgot(ino, count uint64) {
	j.record(recForgot, func(b []byte) []byte {
		return binary.AppendUvarint(appendIno(b, ino), count)
	})
}

// taken records that lookups that were counted for a request were taken back, one of each number.
func (j *Journal) taken(unique uint64, inos []uint64) {
	j.record(recTaken, func(b []byte) []byte { return appendInos(binary.AppendUvarint(b, unique), inos) })
}

// Moved records where n stands now, and that it is no orphan. Call it when the place is published.
func (j *Journal) Moved(n *Node) {
	j.record(recMoved, func(b []byte) []byte {
		p := n.Place()
		return append(appendIno(appendIno(b, n.Ino), parentOf(p)), p.Name...)
	})
}

// Orphaned records that n has lost its last name, with the whole of its state. Call it when the state is published.
func (j *Journal) Orphaned(n *Node) {
	j.record(recOrphaned, func(b []byte) []byte {
		return appendState(appendIno(b, n.Ino), n.State())
	})
}

// Begin records what a request is about to do. When it returns, the record is in the file.
func (j *Journal) Begin(unique uint64, in Intent) error {
	j.record(recBegin, func(b []byte) []byte { return appendIntent(binary.AppendUvarint(b, unique), &in) })
	return j.Flush()
}

// Answered records that the kernel has a request's answer: it will not be sent again, so its intent and the lookups that
// were counted for it need not be known any more.
func (j *Journal) Answered(unique uint64) {
	j.record(recAnswered, func(b []byte) []byte { return binary.AppendUvarint(b, unique) })
}

// record appends a record to the buffer.
func (j *Journal) record(kind byte, fill func([]byte) []byte) {
	if j == nil {
		return
	}
	j.mu.Lock()
	if j.over {
		j.mu.Unlock()
		return
	}
	at := len(j.buf)
	j.buf = seal(fill(open(j.buf, kind)), at)
	long := len(j.buf)-at > maxRecord
	if long {
		j.buf = j.buf[:at]
	}
	full := len(j.buf) >= bufferLimit
	j.dirty.Store(true)
	j.mu.Unlock()
	if long {
		j.fail(errTooLong)
	} else if full {
		if err := j.flush(); err != nil {
			j.untold(err)
		}
	}
}

// Flush returns when all records so far are in the file. It costs an atomic load if they are there already.
func (j *Journal) Flush() error {
	if j == nil || !j.dirty.Load() {
		return nil
	}
	return j.flush()
}

func (j *Journal) flush() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	out := j.buf
	j.buf = j.spare[:0]
	if j.over {
		err := j.err
		j.err = nil
		j.dirty.Store(false)
		j.mu.Unlock()
		return err
	}
	j.mu.Unlock()
	if len(out) > 0 {
		if err := j.write(out); err != nil {
			return j.broken(err)
		}
	}
	if j.spare = out; cap(out) > spareLimit {
		j.spare = nil
	}
	j.mu.Lock()
	if len(j.buf) == 0 {
		j.dirty.Store(false)
	}
	j.mu.Unlock()
	j.compactIfLarge()
	return nil
}

// write appends to the file. The caller holds writing.
func (j *Journal) write(out []byte) error {
	if err := j.pwrite(out, j.end); err != nil {
		return err
	}
	j.end += int64(len(out))
	j.size += int64(len(out))
	return nil
}

func (j *Journal) pwrite(b []byte, off int64) error {
	if j.trace != nil {
		if err := j.trace(b, off, int64(len(b))); err != nil {
			return err
		}
	}
	_, err := j.f.WriteAt(b, off)
	return err
}

// broken ends a journal that could not be written or read. The mark needs no space: its page is there. The caller holds
// writing.
func (j *Journal) broken(err error) error {
	err = errors.Join(fmt.Errorf("%w: %w", ErrJournalBroken, err), j.switchTo(0))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.buf, j.over = nil, true
	j.dirty.Store(false)
	return err
}

// untold has the next Flush return an error.
func (j *Journal) untold(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
	j.dirty.Store(true)
}

// fail is broken for those whose caller does not expect an error.
func (j *Journal) fail(err error) {
	j.writing.Lock()
	err = j.broken(err)
	j.writing.Unlock()
	j.untold(err)
}

// Close writes what is left and ends the journal, so that another process can load it: everything else then does nothing.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	err := j.Flush()
	j.closing.Store(true)
	j.writing.Lock() // nobody starts a compaction any more
	j.mu.Lock()
	j.over = true
	j.mu.Unlock()
	j.writing.Unlock()
	j.compactor.Wait()
	return err
}
