package tree

// Batch is some records of which the next process finds all or none. The zero Batch is empty. It is used by one goroutine.
type Batch struct{ b []byte }

// Note is Journal.Note.
func (b *Batch) Note(kind byte, payload []byte) {
	b.record(recNote, func(to []byte) []byte { return append(append(to, kind), payload...) })
}

// Leaving records that n, which is still lower, will lose its name if nothing else becomes of it: a process that dies before
// leaves it as an orphan. Journal.Moved takes it back.
func (b *Batch) Leaving(n *Node) {
	s := *n.State()
	s.Orphan = true
	b.record(recOrphaned, func(to []byte) []byte { return appendState(appendIno(to, n.Ino), &s) })
}

func (b *Batch) record(kind byte, fill func([]byte) []byte) {
	at := len(b.b)
	b.b = seal(fill(open(b.b, kind)), at)
}

// Add records a batch, as one record: the end of a file that cuts it short takes all of it.
func (j *Journal) Add(b *Batch) {
	j.record(recBatch, func(to []byte) []byte { return append(to, b.b...) })
}

// batch does what the records of a batch say. Their sums are not looked at: the batch has one.
func (r *Recovered) batch(d *decoder) {
	for len(d.b) > 0 && !d.bad {
		head := d.take(headLen)
		if d.bad {
			return
		}
		n, ok := length(head)
		if !ok {
			d.bad = true
			return
		}
		one := decoder{b: d.take(uint64(n))}
		if kind := one.byte(); kind == recBatch {
			d.bad = true // one in another
		} else {
			r.apply(kind, &one)
		}
		d.take(sumLen)
		d.bad = d.bad || one.bad
	}
}
