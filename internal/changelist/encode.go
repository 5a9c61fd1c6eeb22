package changelist

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/antares-actor/antares-actor/internal/object"
)

// ErrDamaged reports bytes that are not what Encode made, or are of another version.
var ErrDamaged = errors.New("not a changelist's record")

// magic begins a record, followed by the SHA-256 of what follows it.
const magic = "antares changelist 1\n"

// record is a Result as it is written: a tree's id is the hash of its payload.
type record struct {
	Base, Root object.ID
	Trees      [][]byte
	Blobs      []object.ID
	Changed    []PathChange
}

// Encode makes bytes of a Result, with a checksum.
func (r Result) Encode() ([]byte, error) {
	rec := record{Base: r.Base, Root: r.Root, Blobs: r.Blobs, Changed: r.Changed}
	ids := slices.SortedFunc(maps.Keys(r.Trees), func(a, b object.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		rec.Trees = append(rec.Trees, r.Trees[id])
	}
	var body bytes.Buffer
	if err := gob.NewEncoder(&body).Encode(rec); err != nil {
		return nil, fmt.Errorf("changelist: encode: %w", err)
	}
	sum := sha256.Sum256(body.Bytes())
	return slices.Concat([]byte(magic), sum[:], body.Bytes()), nil
}

// Decode reads what Encode made.
func Decode(b []byte) (Result, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < sha256.Size {
		return Result{}, fmt.Errorf("changelist: decode %d bytes: %w", len(b), ErrDamaged)
	}
	body := rest[sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], rest[:sha256.Size]) {
		return Result{}, fmt.Errorf("changelist: decode %d bytes: %w: the checksum differs", len(b), ErrDamaged)
	}
	var rec record
	if err := gob.NewDecoder(bytes.NewReader(body)).Decode(&rec); err != nil {
		return Result{}, fmt.Errorf("changelist: decode: %w: %w", ErrDamaged, err)
	}
	r := Result{Base: rec.Base, Root: rec.Root, Blobs: rec.Blobs, Changed: rec.Changed, Trees: make(map[object.ID][]byte, len(rec.Trees))}
	for _, payload := range rec.Trees {
		r.Trees[object.Sum(object.Tree, payload)] = payload
	}
	return r, nil
}
