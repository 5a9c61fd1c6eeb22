package tree

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"golang.org/x/sys/unix"
)

// A record is
//
//	length   4 bytes, of kind and payload
//	parity   1 byte, of the length: a damaged length must not pass for a record that the file's end cut short
//	kind     1 byte
//	payload
//	sum      4 bytes, CRC-32C of all before
//
// Numbers are little endian. Those of nodes are hashes and have eight bytes, others are varints.
const (
	headLen      = 5
	sumLen       = 4
	maxRecord    = 1 << 28 // head and kind included; a batch may have all trees of a large changelist
	parityOfZero = 0x5a    // so that zeros are no record
)

// The kinds of records.
const (
	recStart    byte = 'S' // a generation begins: its offset, how many nodes are in it
	recJump     byte = 'J' // the log goes on elsewhere: its offset
	recNote     byte = 'N' // kind, payload
	recKnown    byte = 'K' // request, node: counted once for the request
	recAgain    byte = 'A' // request, number: counted once more
	recForgot   byte = 'F' // number, count
	recTaken    byte = 'T' // request, numbers: counts of the request that were taken back
	recMoved    byte = 'M' // number, parent, name
	recOrphaned byte = 'O' // number, state
	recBegin    byte = 'B' // request, intent
	recAnswered byte = 'D' // request
	recBatch    byte = 'G' // records, of which all count or none
	recNode     byte = 'n' // node, with all its lookups: in what compaction writes; with none it is a forgotten directory
	recCounted  byte = 'c' // request, numbers: likewise
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// open begins a record; its payload is appended next.
func open(b []byte, kind byte) []byte { return append(b, 0, 0, 0, 0, 0, kind) }

// seal ends the record that began at an offset of b. Journal.record looks whether it is longer than maxRecord, a batch as a
// whole.
func seal(b []byte, at int) []byte {
	head := b[at : at+headLen]
	binary.LittleEndian.PutUint32(head, uint32(len(b)-at-headLen))
	head[headLen-1] = parity(head)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

func parity(head []byte) byte { return head[0] ^ head[1] ^ head[2] ^ head[3] ^ parityOfZero }

// length returns the length of a record's kind and payload; false if the head is damaged.
func length(head []byte) (n int, ok bool) {
	n = int(binary.LittleEndian.Uint32(head))
	return n, head[headLen-1] == parity(head) && 0 < n && n <= maxRecord
}

func appendStart(b []byte, off int64, nodes int) []byte {
	at := len(b)
	return seal(binary.AppendUvarint(appendIno(open(b, recStart), uint64(off)), uint64(nodes)), at)
}

func appendJump(b []byte, to int64) []byte {
	at := len(b)
	return seal(appendIno(open(b, recJump), uint64(to)), at)
}

func appendIno(b []byte, ino uint64) []byte { return binary.LittleEndian.AppendUint64(b, ino) }

func appendInos(b []byte, inos []uint64) []byte {
	for _, ino := range inos {
		b = appendIno(b, ino)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// hasState is set in a node's type byte, which has the S_IFMT bits otherwise.
const hasState = 0x80

func appendNode(b []byte, ino uint64, d *Dormant) []byte {
	b = appendIno(appendIno(b, ino), d.Parent)
	typ := byte(d.Type >> 12 & 0xf)
	if d.Orphan != nil {
		typ |= hasState
	}
	b = binary.AppendUvarint(append(b, typ), uint64(d.Count))
	if d.Orphan != nil {
		b = appendState(b, d.Orphan)
	}
	return append(b, d.Name...)
}

// What a state's first byte says.
const (
	stateOrphan = 1 << iota
	stateIndexed
	stateObject
	stateBelow
	stateUpper
)

func appendState(b []byte, s *State) []byte {
	at := len(b)
	b = append(b, 0)
	set := func(is bool, bit byte) bool {
		if is {
			b[at] |= bit
		}
		return is
	}
	set(s.Orphan, stateOrphan)
	set(s.Indexed, stateIndexed)
	set(s.Where == Upper, stateUpper)
	b = binary.AppendUvarint(b, uint64(s.Mode))
	b = binary.AppendVarint(b, s.Size)
	b = binary.AppendUvarint(b, s.UpperIno)
	if set(!s.Object.IsZero(), stateObject) {
		b = append(b, s.Object[:]...)
	}
	if set(s.Below != nil, stateBelow) {
		b = binary.AppendUvarint(b, uint64(len(s.Below.Halves)))
		for _, h := range s.Below.Halves {
			b = appendString(binary.AppendUvarint(b, uint64(h.Layer)), h.Path)
		}
		b = appendString(appendString(b, s.Below.Redirect), s.Below.Origin)
	}
	return b
}

// What an intent's first byte says.
const (
	intentLower = 1 << iota
	intentDisplacedLower
)

func appendIntent(b []byte, in *Intent) []byte {
	var has byte
	if in.Lower != nil {
		has |= intentLower
	}
	if in.DisplacedLower != nil {
		has |= intentDisplacedLower
	}
	b = appendIno(appendIno(append(b, has), in.Ino), in.Displaced)
	b = appendString(appendIno(b, in.From.Parent), in.From.Name)
	b = appendString(appendIno(b, in.To.Parent), in.To.Name)
	for _, s := range []*State{in.Lower, in.DisplacedLower} {
		if s != nil {
			b = appendState(b, s)
		}
	}
	return b
}

// decoder reads a payload. After anything that is not there, bad is set and all else reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) ino() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) inos() []uint64 {
	out := make([]uint64, 0, len(d.b)/8)
	for len(d.b) > 0 {
		out = append(out, d.ino())
	}
	return out
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.take(width(n))
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.take(width(n))
	return v
}

// width is how many bytes to take for a varint of which n were read; if it is malformed, more than there are.
func width(n int) uint64 {
	if n <= 0 {
		return math.MaxUint64
	}
	return uint64(n)
}

func (d *decoder) text() string { return string(d.take(d.uvarint())) }

func (d *decoder) rest() []byte { return d.take(uint64(len(d.b))) }

// node reads appendNode's form; the name is the caller's to copy.
func (d *decoder) node() (ino uint64, n Dormant, name []byte) {
	ino, n.Parent = d.ino(), d.ino()
	typ := d.byte()
	n.Type = uint32(typ&^hasState) << 12 & unix.S_IFMT
	n.Count = int64(d.uvarint())
	if typ&hasState != 0 {
		n.Orphan = d.state()
	}
	return ino, n, d.rest()
}

func (d *decoder) state() *State {
	has := d.byte()
	s := &State{Orphan: has&stateOrphan != 0, Indexed: has&stateIndexed != 0}
	if has&stateUpper != 0 {
		s.Where = Upper
	}
	s.Mode, s.Size, s.UpperIno = uint32(d.uvarint()), d.varint(), d.uvarint()
	if has&stateObject != 0 {
		copy(s.Object[:], d.take(uint64(len(s.Object))))
	}
	if has&stateBelow != 0 {
		s.Below = &Below{}
		for range min(d.uvarint(), uint64(len(d.b))) { // a half has a byte at least
			s.Below.Halves = append(s.Below.Halves, Half{Layer: int(d.uvarint()), Path: d.text()})
		}
		s.Below.Redirect, s.Below.Origin = d.text(), d.text()
	}
	return s
}

func (d *decoder) intent() Intent {
	has := d.byte()
	in := Intent{Ino: d.ino(), Displaced: d.ino()}
	in.From = Spot{Parent: d.ino(), Name: d.text()}
	in.To = Spot{Parent: d.ino(), Name: d.text()}
	if has&intentLower != 0 {
		in.Lower = d.state()
	}
	if has&intentDisplacedLower != 0 {
		in.DisplacedLower = d.state()
	}
	return in
}
