package tree

import (
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Compaction writes what the log says in as few records as it takes, beside the log in the same file, since the keeper
// holds no other:
//
//	| old generation … jump | new generation, jump | gap | what is appended meanwhile …
//	                     '-------------------------------^
//
// The jump is appended first; whoever comes later appends behind the gap. The compactor then reads the old generation back
// from the file, as a new process would, and writes the new one, which ends in a jump to the same place. So nobody waits for
// it, no record is written twice, and a record is either in the new generation or behind it. One word in the header makes the
// new generation the live one; the old one becomes a hole. A kill before that leaves the old generation, which goes on behind
// the jump, and what there is of the new one is never read. Offsets only grow: an exabyte is enough for ever.

const (
	compactFrom = 4 << 20 // smaller logs are not worth it
	page        = 4096
	chunk       = 256 << 10
	punchSize   = 1 << 20
	inosARecord = 64 << 10
)

var (
	errNoRoom  = errors.New("the new generation is longer than expected")
	errStopped = errors.New("the journal is closed")
)

func pageUp(off int64) int64 { return (off + page - 1) &^ (page - 1) }

// compaction is one run of it.
type compaction struct {
	j        *Journal
	from     int64 // where the old generation starts
	until    int64 // where it ends, behind its jump
	to       int64 // where the log goes on
	replaced int64 // bytes of records in the old generation
	start    int64 // where the new generation starts: the next page
	at       int64 // where its next chunk is written
	buf      []byte
}

// compactIfLarge starts a compaction. The caller holds writing.
func (j *Journal) compactIfLarge() {
	if j.size < j.limit || j.compacting {
		return
	}
	c := &compaction{j: j, from: j.start}
	c.to = pageUp(j.end) + pageUp(4*j.size+compactFrom) // a hole: its size costs nothing
	if err := j.write(appendJump(nil, c.to)); err != nil {
		j.untold(j.broken(err))
		return
	}
	c.until, c.replaced = j.end, j.size
	c.start = pageUp(c.until)
	c.at = c.start
	j.end, j.size, j.compacting = c.to, 0, true
	j.compactor.Go(c.run)
}

func (c *compaction) run() {
	r := newRecovered()
	log := logReader{f: c.j.f, off: c.from, limit: c.until, until: c.until, stop: &c.j.closing}
	err := log.replay(r)
	if err != nil && !errors.Is(err, errStopped) { // what cannot be read now will not be read by the next process either
		c.j.fail(err)
	}
	if err == nil {
		r.prune()
		err = c.writeAll(r)
	}
	c.finish(err)
}

// finish makes the new generation the live one, or forgets it.
func (c *compaction) finish(err error) {
	from, to := c.from, c.start // what is of no use
	if !c.adopt(err) {
		from, to = c.start, c.to
	}
	c.j.punch(from, to)
	c.j.writing.Lock()
	c.j.compacting = false
	c.j.writing.Unlock()
}

func (c *compaction) adopt(err error) bool {
	j := c.j
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	over := j.over
	j.mu.Unlock()
	if err == nil && !over {
		err = j.switchTo(c.start)
	}
	if err != nil || over { // no memory for it, perhaps: the old one is as good
		j.size += c.replaced
		j.limit = 2 * j.size
		return false
	}
	j.start = c.start
	j.size += c.at - c.start
	j.limit = max(j.least, 2*(c.at-c.start))
	return true
}

// writeAll writes the new generation.
func (c *compaction) writeAll(r *Recovered) error {
	c.buf = appendStart(c.buf, c.start, len(r.Nodes))
	for kind, payload := range r.Notes {
		c.add(recNote, func(b []byte) []byte { return append(append(b, kind), payload...) })
	}
	for ino, d := range r.Nodes {
		c.add(recNode, func(b []byte) []byte { return appendNode(b, ino, d) })
		if err := c.write(chunk); err != nil {
			return err
		}
	}
	for ino, at := range r.Forgotten {
		c.add(recNode, func(b []byte) []byte {
			return appendNode(b, ino, &Dormant{Parent: at.Parent, Name: at.Name, Type: unix.S_IFDIR})
		})
		if err := c.write(chunk); err != nil {
			return err
		}
	}
	for _, unique := range r.order {
		for inos := range slices.Chunk(r.Counted[unique], inosARecord) {
			c.add(recCounted, func(b []byte) []byte { return appendInos(binary.AppendUvarint(b, unique), inos) })
		}
		if err := c.write(chunk); err != nil {
			return err
		}
	}
	for unique, in := range r.Intents {
		c.add(recBegin, func(b []byte) []byte { return appendIntent(binary.AppendUvarint(b, unique), &in) })
		if err := c.write(chunk); err != nil {
			return err
		}
	}
	c.buf = appendJump(c.buf, c.to)
	return c.write(0)
}

func (c *compaction) add(kind byte, fill func([]byte) []byte) {
	at := len(c.buf)
	c.buf = seal(fill(open(c.buf, kind)), at)
}

// write writes what there is if it is at least that much.
func (c *compaction) write(least int) error {
	if len(c.buf) < least {
		return nil
	}
	if c.j.closing.Load() {
		return errStopped
	}
	if c.at+int64(len(c.buf)) > c.to {
		return errNoRoom
	}
	if err := c.j.pwrite(c.buf, c.at); err != nil {
		return err
	}
	c.at += int64(len(c.buf))
	c.buf = c.buf[:0]
	return nil
}

// punch gives back the memory of what is there, in pieces, since a write to the file waits for each. If the file system
// cannot do that, the file is only larger.
func (j *Journal) punch(from, to int64) {
	conn, err := j.f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		for {
			from, err = unix.Seek(int(fd), from, unix.SEEK_DATA)
			n := min(punchSize, to-from)
			if err != nil || n <= 0 || j.trace != nil && j.trace(nil, from, n) != nil {
				return
			}
			if unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, n) != nil {
				return
			}
			from += n
		}
	})
}
