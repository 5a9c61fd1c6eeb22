package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Content is the store of objects, shared by all mounts of an engine. What it returns was verified against its id. Its methods
// may be called concurrently.
type Content interface {
	// Bytes returns a small object's payload; false if it is large, or not here. The slice must not be written to.
	Bytes(id object.ID) ([]byte, bool)

	// ReadAt fills p from offset off, in bytes; a short count without an error means the object's end. Any error means that it
	// must be fetched.
	ReadAt(id object.ID, p []byte, off int64) (int, error)

	// Size returns an object's size in bytes; false if it is not here.
	Size(id object.ID) (int64, bool)

	// Open returns an object as a file, for the caller to close. There may be none of an object that is here.
	Open(id object.ID) (*os.File, error)

	// PutBytes stores an object that is here as a whole, and shares b from then on.
	PutBytes(kind object.Kind, id object.ID, b []byte) error

	// Put stores an object of size bytes, -1 if that is not known, and returns how many there were.
	Put(kind object.Kind, id object.ID, size int64, r io.Reader) (int64, error)

	Arriving
}

// Arriving is the part of a content store that lets a large object be read while it is being put.
type Arriving interface {
	// Await returns a channel that is closed when the bytes before offset end can be read. Nothing closes it if the put fails, or
	// is not one of a large object. The caller calls leave in the end.
	Await(id object.ID, end int64) (ready <-chan struct{}, leave func())

	// ReadArriving is ReadAt while the object is being put, and false if the bytes are not here. They are not verified yet: if
	// they turn out to be wrong, spoiled is called before the put returns, once for each key.
	ReadArriving(id object.ID, p []byte, off int64, key any, spoiled func()) (int, bool)
}

// smallBlob is the size in bytes up to which a blob is fetched when only its size was asked for: whoever stats a small
// file opens it next, and one round trip costs more than the bytes.
const smallBlob = 256 << 10

// lingerTime is how long a large blob stays open whose size was asked for: programs mostly read a file in the same moment in
// which they look at its size, and the content is on its way then.
const lingerTime = 10 * time.Millisecond

// source reads one origin through the content store, for one mount. Its methods wait; they run in workers.
type source struct {
	origin  remote.Origin
	content Content
	made    *madeTrees // nil: none
	log     *slog.Logger
	fetches int // at once; 0: as many as the engine may
	linger  time.Duration
	counts  fetchCounts // atomic
	left    bool        // the mount has ended; the loader's
}

// quiet is the same source without a log, for a caller who tells a user what is wrong.
func (s *source) quiet() *source {
	return &source{origin: s.origin, content: s.content, made: s.made, log: slog.New(slog.DiscardHandler)}
}

// tree returns a tree object's payload.
func (s *source) tree(ctx context.Context, ref remote.TreeRef) ([]byte, error) {
	payload, _, err := s.askTree(ctx, ref)
	return payload, err
}

// askTree returns a tree object's payload, from the store if it is there; asked says that it was not.
func (s *source) askTree(ctx context.Context, ref remote.TreeRef) (payload []byte, asked bool, err error) {
	if ref.ID == object.EmptyTree {
		return nil, false, nil
	}
	if b, ok := s.made.get(ref.ID); ok {
		return b, false, nil
	}
	if b, ok := s.stored(ref.ID); ok {
		return b, false, nil
	}
	t, err := s.origin.Tree(ctx, ref)
	if err != nil {
		return nil, true, s.trouble("tree", ref.Path, err)
	}
	if t.Derived {
		return t.Payload, true, nil
	}
	if err := s.content.PutBytes(object.Tree, ref.ID, t.Payload); err != nil {
		return nil, true, s.trouble("tree", ref.Path, err)
	}
	return t.Payload, true, nil
}

// treeAt returns the payload of the tree at ref.Path below the tree ref.ID, which stands at base in the repository. A path
// that leads nowhere is an empty directory: a redirect whose target the origin does not have, as for overlayfs.
func (s *source) treeAt(ctx context.Context, ref remote.TreeRef, base string) (payload []byte, asked bool, err error) {
	at, names := ref, strings.Split(ref.Path, "/")
	for i := 0; ; i++ {
		at.Path = strings.Trim(base+"/"+strings.Join(names[:i], "/"), "/")
		var now bool
		payload, now, err = s.askTree(ctx, at)
		asked = asked || now
		if err != nil || i == len(names) {
			return payload, asked, err
		}
		entries, err := object.ParseTree(payload)
		if err != nil {
			return nil, asked, fmt.Errorf("%w: directory %q: %w", ErrOrigin, at.Path, err)
		}
		if at.ID, err = subtree(entries, names[i]); err != nil {
			return nil, asked, nil
		}
	}
}

// here returns a tree object's payload if it takes no worker to get it.
func (s *source) here(id object.ID) ([]byte, bool) {
	if b, ok := s.made.get(id); ok {
		return b, true
	}
	return s.content.Bytes(id)
}

// stored reads a whole object of the store, however large.
func (s *source) stored(id object.ID) ([]byte, bool) {
	if b, ok := s.content.Bytes(id); ok {
		return b, true
	}
	size, ok := s.content.Size(id)
	if !ok {
		return nil, false
	}
	b := make([]byte, size)
	n, err := s.content.ReadAt(id, b, 0)
	return b, err == nil && int64(n) == size
}

// blob brings a blob into the store.
func (s *source) blob(ctx context.Context, id object.ID) error {
	return s.askBlob(ctx, id, func(context.Context, time.Duration) bool { return true }, func(int64) {}).Err
}

// askBlob brings a blob into the store if it is small, or if content says, after a wait at most, that it is wanted however
// large. It tells the size of a large one as soon as that is known; that of a small one is proved by the content first.
func (s *source) askBlob(ctx context.Context, id object.ID, content func(context.Context, time.Duration) bool, learnt func(int64)) outcome {
	if size, ok := s.content.Size(id); ok {
		return outcome{Sizes: []int64{size}}
	}
	if sizer, ok := s.origin.(remote.Sizer); ok && !content(ctx, 0) {
		if n, err := sizer.Size(ctx, id); err != nil || n > smallBlob {
			return outcome{Sizes: []int64{n}, Asked: true, Unread: true, Err: s.trouble("size", id.String(), err)}
		}
	}
	b, err := s.origin.Blob(ctx, id)
	if err != nil {
		return outcome{Asked: true, Err: s.trouble("blob", id.String(), err)}
	}
	defer func() { _ = b.Close() }()
	if b.Size > smallBlob {
		learnt(b.Size)
		if !content(ctx, s.linger) {
			return outcome{Sizes: []int64{b.Size}, Asked: true, Unread: true}
		}
	}
	n, err := s.store(id, b)
	return outcome{Sizes: []int64{n}, Bytes: n, Asked: true, Err: err}
}

// store keeps an open blob's bytes and returns how many there are: a small one by way of memory, where it can be read even if
// the disk is full.
func (s *source) store(id object.ID, b remote.Blob) (int64, error) {
	if b.Size < 0 || b.Size > smallBlob {
		n, err := s.content.Put(object.Blob, id, b.Size, b)
		return n, s.trouble("blob", id.String(), err)
	}
	buf := make([]byte, b.Size)
	if _, err := io.ReadFull(b, buf); err != nil {
		return 0, s.trouble("blob", id.String(), fmt.Errorf("body ended early: %w", err))
	}
	return b.Size, s.trouble("blob", id.String(), s.content.PutBytes(object.Blob, id, buf))
}

// sizer tells whether the origin tells a size for much less than the content costs.
func (s *source) sizer() bool {
	_, ok := s.origin.(remote.Sizer)
	return ok
}

// batches tells whether many sizes cost the origin little more than one.
func (s *source) batches() bool {
	_, ok := s.origin.(remote.BatchSizer)
	return ok
}

// sizes returns blobs' sizes in bytes from an origin that can tell them; -1 for one that it could not.
func (s *source) sizes(ctx context.Context, ids []object.ID) ([]int64, error) {
	if len(ids) > 1 {
		sizes, err := s.origin.(remote.BatchSizer).Sizes(ctx, ids)
		return sizes, s.trouble("sizes", ids[0].String(), err)
	}
	if size, ok := s.content.Size(ids[0]); ok {
		return []int64{size}, nil
	}
	n, err := s.origin.(remote.Sizer).Size(ctx, ids[0])
	return []int64{n}, s.trouble("size", ids[0].String(), err)
}

// trouble wraps an error of the origin so that it ends as EIO, never as absence, and says so in the log.
func (s *source) trouble(what, name string, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, context.Canceled) {
		s.log.Warn("origin cannot be read", slog.String("what", what), slog.String("name", name),
			slog.String("origin", s.origin.String()), slog.Any("error", err))
	}
	return fmt.Errorf("%w: %s %s: %w", ErrOrigin, what, name, err)
}
