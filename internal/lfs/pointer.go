package lfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/antares-actor/antares-actor/internal/object"
)

const (
	beforeSum  = "version https://git-lfs.github.com/spec/v1\noid sha256:"
	beforeSize = "\nsize "

	// The lengths in bytes between which a pointer's is: with a size of one digit, and with one of 19.
	minPointer = len(beforeSum) + 2*sha256.Size + len(beforeSize) + 1 + 1
	maxPointer = minPointer + 18
)

// Pointer is what git has of a file of Git LFS. Size is not 0: an empty file is its own pointer.
type Pointer struct {
	Sum  [sha256.Size]byte
	Size int64
}

// Parse reads a pointer, if b is one to the byte. What is none gives the zero Pointer.
func Parse(b []byte) (Pointer, bool) {
	if p := parse(b); p.Size > 0 && bytes.Equal(p.Text(), b) { // there is one way to write it
		return p, true
	}
	return Pointer{}, false
}

// parse reads what may be a pointer; where it fails Size is 0.
func parse(b []byte) (p Pointer) {
	sum, ok := bytes.CutPrefix(b, []byte(beforeSum))
	if !ok || !mayBe(int64(len(b))) {
		return p
	}
	if _, err := hex.Decode(p.Sum[:], sum[:2*len(p.Sum)]); err != nil {
		return p
	}
	size := sum[2*len(p.Sum)+len(beforeSize):]
	p.Size, _ = strconv.ParseInt(string(bytes.TrimSuffix(size, []byte("\n"))), 10, 64) // beyond 63 bits: the largest, which differs
	return p
}

// mayBe tells whether a blob of this size in bytes may be a pointer.
func mayBe(size int64) bool { return size >= int64(minPointer) && size <= int64(maxPointer) }

// Text is the pointer as git has it.
func (p Pointer) Text() []byte {
	b := make([]byte, 0, maxPointer)
	b = append(b, beforeSum...)
	b = hex.AppendEncode(b, p.Sum[:])
	b = append(b, beforeSize...)
	b = strconv.AppendInt(b, p.Size, 10)
	return append(b, '\n')
}

// ID is the id of the file as an object.LFS.
func (p Pointer) ID() object.ID { return object.ID(p.Sum[:len(object.ID{})]) }
