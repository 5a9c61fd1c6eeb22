package lfs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// knownMax bounds the pointers that are remembered, at some 100 bytes each. Beyond it all are forgotten: finding out again
// costs a look at a small blob that is mostly in memory.
const knownMax = 1 << 14

// Store is a store of objects by id: a *cache.Store, whose documentation says what the methods do.
type Store interface {
	Bytes(id object.ID) ([]byte, bool)
	ReadAt(id object.ID, p []byte, off int64) (int, error)
	Size(id object.ID) (int64, bool)
	Open(id object.ID) (*os.File, error)
	PutBytes(kind object.Kind, id object.ID, b []byte) error
	Put(kind object.Kind, id object.ID, size int64, r io.Reader) (int64, error)

	Arriving
}

// Arriving is the part of a Store that lets a large object be read while it is being put.
type Arriving interface {
	Await(id object.ID, end int64) (ready <-chan struct{}, leave func())
	ReadArriving(id object.ID, p []byte, off int64, key any, spoiled func()) (int, bool)
}

// Content is a Store in which a pointer's id stands for the file that it points to. While that has not been put, the id is not
// there, even if the pointer is.
type Content struct {
	store Store
	known *xsync.Map[object.ID, Pointer] // a part of the pointers there are
}

var _ Store = (*Content)(nil)

// NewContent returns a Content over store, which may be used beside it by those who want the pointers.
func NewContent(store Store) *Content {
	return &Content{store: store, known: xsync.NewMap[object.ID, Pointer]()}
}

// Bytes returns a small object's or file's payload.
func (c *Content) Bytes(id object.ID) ([]byte, bool) {
	if p, ok := c.known.Load(id); ok {
		return c.store.Bytes(p.ID())
	}
	b, ok := c.store.Bytes(id)
	if p, isPointer := c.learn(id, b); isPointer {
		return c.store.Bytes(p.ID())
	}
	return b, ok
}

// ReadAt reads up to len(b) bytes of an object or file.
func (c *Content) ReadAt(id object.ID, b []byte, off int64) (int, error) {
	if p, ok := c.known.Load(id); ok {
		return c.store.ReadAt(p.ID(), b, off)
	}
	n, err := c.store.ReadAt(id, b, off)
	if err != nil || n > 0 && off+int64(n) > int64(maxPointer) { // it is longer than any pointer
		return n, err
	}
	if p, ok := c.pointer(id); ok {
		return c.store.ReadAt(p.ID(), b, off)
	}
	return n, nil
}

// Size returns an object's or file's size in bytes.
func (c *Content) Size(id object.ID) (int64, bool) {
	if p, ok := c.known.Load(id); ok {
		return c.store.Size(p.ID())
	}
	n, ok := c.store.Size(id)
	if !ok || !mayBe(n) {
		return n, ok
	}
	if p, ok := c.pointer(id); ok {
		return c.store.Size(p.ID())
	}
	return n, true
}

// Open opens an object's or file's copy on disk.
func (c *Content) Open(id object.ID) (*os.File, error) {
	if p, ok := c.pointer(id); ok {
		return c.store.Open(p.ID())
	}
	return c.store.Open(id)
}

// PutBytes stores an object, or for a pointer's id the file. The pointer itself is accepted as well.
func (c *Content) PutBytes(kind object.Kind, id object.ID, b []byte) error {
	if kind != object.Blob {
		return c.store.PutBytes(kind, id, b)
	}
	if p, ok := c.pointer(id); ok && int64(len(b)) == p.Size && sha256.Sum256(b) == p.Sum {
		return c.store.PutBytes(object.LFS, p.ID(), b)
	}
	if err := c.store.PutBytes(kind, id, b); err != nil { // a damaged file, too: it has neither of the two hashes
		return err
	}
	c.learn(id, b)
	return nil
}

// Put stores an object from a stream, or for a pointer's id the file. Of a file that is there already nothing is read.
func (c *Content) Put(kind object.Kind, id object.ID, size int64, r io.Reader) (int64, error) {
	if kind != object.Blob {
		return c.store.Put(kind, id, size, r)
	}
	p, ok := c.pointer(id)
	if !ok || size >= 0 && size != p.Size {
		return c.store.Put(kind, id, size, r)
	}
	if n, ok := c.store.Size(p.ID()); ok {
		return n, nil
	}
	n, err := c.store.Put(object.LFS, p.ID(), p.Size, &verifier{r: r, h: sha256.New(), want: p.Sum})
	if err != nil {
		return 0, fmt.Errorf("large file of pointer %s: %w", id, err)
	}
	return n, nil
}

// Await waits for the bytes of an object or file before end. Who asks before the pointer has been looked at, which takes
// somebody who has not asked for the size either, waits for the whole file.
func (c *Content) Await(id object.ID, end int64) (ready <-chan struct{}, leave func()) {
	if p, ok := c.pointer(id); ok {
		id = p.ID()
	}
	return c.store.Await(id, end)
}

// ReadArriving reads an object or file that is being put.
func (c *Content) ReadArriving(id object.ID, b []byte, off int64, key any, spoiled func()) (int, bool) {
	if p, ok := c.known.Load(id); ok {
		id = p.ID()
	}
	return c.store.ReadArriving(id, b, off, key, spoiled)
}

// pointer returns what the blob points to, if it is known or stored, and a pointer.
func (c *Content) pointer(id object.ID) (Pointer, bool) {
	if p, ok := c.known.Load(id); ok {
		return p, true
	}
	if n, ok := c.store.Size(id); !ok || !mayBe(n) {
		return Pointer{}, false
	}
	b, _ := c.store.Bytes(id)
	return c.learn(id, b)
}

// learn looks at a verified blob and remembers it if it is a pointer.
func (c *Content) learn(id object.ID, b []byte) (Pointer, bool) {
	p, ok := Parse(b)
	if !ok {
		return p, false
	}
	if c.known.Size() >= knownMax {
		c.known.Clear()
	}
	c.known.Store(id, p)
	return p, true
}

// verifier fails at the end of a file that has the beginning of its SHA-256 right, by which the store knows it, and not all.
// What differs there already is left to the store, which tells those who read along.
type verifier struct {
	r    io.Reader
	h    hash.Hash
	want [sha256.Size]byte
}

func (v *verifier) Read(b []byte) (int, error) {
	n, err := v.r.Read(b)
	v.h.Write(b[:n])
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	sum, known := v.h.Sum(nil), len(object.ID{})
	if bytes.Equal(sum[:known], v.want[:known]) && !bytes.Equal(sum, v.want[:]) {
		return n, fmt.Errorf("%w: its SHA-256 is %x", remote.ErrMismatch, sum)
	}
	return n, err
}
