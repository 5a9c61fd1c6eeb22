package lfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// ErrNoLargeFiles reports an origin that does not serve Git LFS.
var ErrNoLargeFiles = errors.New("the origin does not serve Git LFS")

// looksAtOnce bounds the blobs that one request for many sizes looks into at once.
const looksAtOnce = 16

// origin is an origin whose pointers are files. It is a value, so that two mounts with the same origin and content have
// origins that are equal, and share what is being fetched.
type origin struct {
	remote.Origin
	large   remote.LargeFiles
	content *Content
}

// Origin returns base with files in the place of pointers. It keeps the pointers in content, where the caller puts the files.
// What base can do besides, the result can: a pointer's size is the file's.
func Origin(base remote.Origin, content *Content) (remote.Origin, error) {
	large, ok := base.(remote.LargeFiles)
	if !ok {
		return nil, fmt.Errorf("%s: %w", base, ErrNoLargeFiles)
	}
	o := origin{Origin: base, large: large, content: content}
	inner := base
	if s, ok := base.(remote.Sizer); ok {
		inner = remote.Decorate(struct {
			remote.Origin
			remote.Sizer
		}{inner, sizer{o, s}}, inner)
	}
	if b, ok := base.(remote.BatchSizer); ok {
		inner = remote.Decorate(struct {
			remote.Origin
			remote.BatchSizer
		}{inner, batchSizer{o, b}}, inner)
	}
	return remote.Decorate(o, inner), nil
}

// Blob implements remote.Origin. A file is not asked for before it is read.
func (o origin) Blob(ctx context.Context, id object.ID) (remote.Blob, error) {
	if p, ok := o.content.pointer(id); ok {
		return o.open(ctx, p), nil
	}
	b, err := o.Origin.Blob(ctx, id)
	if err != nil || b.Size >= 0 && !mayBe(b.Size) {
		return b, err
	}
	start, err := readStart(b)
	if err != nil {
		return remote.Blob{}, errors.Join(err, b.Close())
	}
	if _, ok := Parse(start); !ok {
		return remote.Blob{ReadCloser: joined{io.MultiReader(bytes.NewReader(start), b), b}, Size: b.Size}, nil
	}
	_ = b.Close()
	p, _, err := o.keep(id, start)
	if err != nil {
		return remote.Blob{}, err
	}
	return o.open(ctx, p), nil
}

// readStart reads a blob to the end, or to where it is longer than any pointer.
func readStart(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, int64(maxPointer)+1))
}

// keep stores a blob, and tells what it points to if it is a pointer.
func (o origin) keep(id object.ID, text []byte) (p Pointer, isPointer bool, err error) {
	if err := o.content.store.PutBytes(object.Blob, id, text); err != nil {
		return p, false, fmt.Errorf("pointer of Git LFS: %w", err)
	}
	p, isPointer = o.content.learn(id, text)
	return p, isPointer, nil
}

// look returns the size in bytes of what a blob, which has a pointer's size, stands for. A blob that is none is kept too:
// whoever asked for its size mostly reads it next.
func (o origin) look(ctx context.Context, id object.ID, size int64) (int64, error) {
	if p, ok := o.content.pointer(id); ok {
		return p.Size, nil
	}
	if _, ok := o.content.store.Size(id); ok {
		return size, nil
	}
	b, err := o.Origin.Blob(ctx, id)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	text, err := readStart(b)
	if err != nil {
		return 0, err
	}
	p, isPointer, err := o.keep(id, text)
	if err != nil {
		return 0, err
	}
	if isPointer {
		size = p.Size
	}
	return size, nil
}

// open returns the file of a pointer.
func (o origin) open(ctx context.Context, p Pointer) remote.Blob {
	return remote.Blob{ReadCloser: &file{ctx: ctx, from: o.large, p: p}, Size: p.Size}
}

// file is a file of Git LFS that is opened when it is first read. It is used by one goroutine at a time.
type file struct {
	ctx  context.Context // of the request for the blob
	from remote.LargeFiles
	p    Pointer
	body io.ReadCloser // nil before the first read
	err  error         // what every further read answers
}

func (f *file) Read(b []byte) (int, error) {
	if f.body == nil && f.err == nil {
		f.err = f.open()
	}
	if f.err != nil {
		return 0, f.err
	}
	return f.body.Read(b)
}

func (f *file) open() error {
	b, err := f.from.LargeFile(f.ctx, f.p.Sum, f.p.Size)
	if err != nil {
		return err
	}
	if b.Size >= 0 && b.Size != f.p.Size {
		err := fmt.Errorf("large file %x: %w: %d bytes where the pointer says %d", f.p.Sum, remote.ErrBadAnswer, b.Size, f.p.Size)
		return errors.Join(err, b.Close())
	}
	f.body = b
	return nil
}

func (f *file) Close() error {
	body := f.body
	f.body, f.err = nil, io.ErrClosedPipe
	if body == nil {
		return nil
	}
	return body.Close()
}

// joined reads from one and closes another.
type joined struct {
	io.Reader
	io.Closer
}

// sizer is a base's Sizer that tells files' sizes.
type sizer struct {
	origin
	base remote.Sizer
}

// Size implements remote.Sizer.
func (s sizer) Size(ctx context.Context, id object.ID) (int64, error) {
	if p, ok := s.content.known.Load(id); ok {
		return p.Size, nil
	}
	n, err := s.base.Size(ctx, id)
	if err != nil || !mayBe(n) {
		return n, err
	}
	return s.look(ctx, id, n)
}

// batchSizer is a base's BatchSizer that tells files' sizes.
type batchSizer struct {
	origin
	base remote.BatchSizer
}

// Sizes implements remote.BatchSizer. Where a look into a blob fails the size is -1.
func (s batchSizer) Sizes(ctx context.Context, ids []object.ID) ([]int64, error) {
	sizes, err := s.base.Sizes(ctx, ids)
	if err != nil {
		return nil, err
	}
	var g errgroup.Group
	g.SetLimit(looksAtOnce)
	for i, id := range ids {
		if !mayBe(sizes[i]) {
			continue
		}
		g.Go(func() error {
			n, err := s.look(ctx, id, sizes[i])
			if err != nil {
				n = -1
			}
			sizes[i] = n
			return ctx.Err()
		})
	}
	return sizes, g.Wait()
}
