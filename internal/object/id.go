package object

import (
	"crypto/sha1" //nolint:gosec // git's object format, not a choice of ours
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// ErrBadID reports text that is not an object id of 40 hex digits.
var ErrBadID = errors.New("not an object id of 40 hex digits")

// ID is a git object id: the SHA-1 of the object's header and payload. The zero ID stands for "unknown".
type ID [sha1.Size]byte

// sha256Size is the length in bytes of the ids of git's newer object format.
const sha256Size = 32

// Ids of the objects without content, which need no fetch.
var (
	EmptyBlob = Sum(Blob, nil)
	EmptyTree = Sum(Tree, nil)
)

// Kind is an object's type as git's header spells it.
type Kind string

// The kinds of objects that a mount reads.
const (
	Blob   Kind = "blob"
	Tree   Kind = "tree"
	Commit Kind = "commit"

	// LFS is no kind of git's: a file of Git LFS, which git knows by a pointer to it. Its id is the first 20 bytes of the SHA-256
	// of its payload, without a header, so that it can be kept beside git's objects. That is how much of it the id verifies;
	// package lfs compares the rest when the file arrives.
	LFS Kind = "lfs"
)

// Parse reads an id of 40 hex digits; the prefix "sha1:" that some Mega endpoints add is accepted.
func Parse(s string) (ID, error) {
	var id ID
	h := strings.TrimPrefix(s, "sha1:")
	if sum := strings.TrimPrefix(s, "sha256:"); len(sum) == hex.EncodedLen(sha256Size) {
		return ID{}, fmt.Errorf("%w: %q, as repositories of SHA-256 have: only those of SHA-1 can be read", ErrBadID, s)
	}
	if len(h) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("%w: %q", ErrBadID, s)
	}
	if _, err := hex.Decode(id[:], []byte(h)); err != nil {
		return ID{}, fmt.Errorf("%w: %q", ErrBadID, s)
	}
	return id, nil
}

// String returns the id as 40 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the id is the zero ID, which no object has.
func (id ID) IsZero() bool { return id == ID{} }

// NewHash returns a hash primed with the header of an object of this kind and payload size in bytes: write the payload
// to it and its sum is the object's id.
func NewHash(k Kind, size int64) hash.Hash {
	if k == LFS {
		return truncated{sha256.New()}
	}
	h := sha1.New() //nolint:gosec // git's object format
	buf := make([]byte, 0, 32)
	buf = append(buf, k...)
	buf = append(buf, ' ')
	buf = strconv.AppendInt(buf, size, 10)
	buf = append(buf, 0)
	h.Write(buf)
	return h
}

// truncated is a hash of which only the first bytes are the sum.
type truncated struct{ hash.Hash }

// Sum implements hash.Hash. It appends in place where there is room, as callers with an ID expect.
func (h truncated) Sum(b []byte) []byte {
	var whole [sha256.Size]byte
	return append(b, h.Hash.Sum(whole[:0])[:len(ID{})]...)
}

// Size implements hash.Hash.
func (truncated) Size() int { return len(ID{}) }

// Sum returns the id of an object of this kind with this payload.
func Sum(k Kind, payload []byte) ID {
	h := NewHash(k, int64(len(payload)))
	h.Write(payload)
	var id ID
	h.Sum(id[:0])
	return id
}
