package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

const (
	// maxWhole is the size up to which a blob is read into memory at once, so that its process is free for others.
	maxWhole = 1 << 20
	// maxObject bounds trees and commits, which are held in memory: a tree of this size has over a million entries.
	maxObject = 256 << 20
)

// Tree returns a tree object's payload. Only ref.ID matters: a repository on disk is asked by id.
func (r *Repo) Tree(ctx context.Context, ref remote.TreeRef) (remote.Tree, error) {
	if ref.ID == object.EmptyTree {
		return remote.Tree{}, nil
	}
	_, payload, err := r.contents(ctx, ref.ID.String(), object.Tree)
	if err != nil {
		return remote.Tree{}, err
	}
	if object.Sum(object.Tree, payload) != ref.ID {
		return remote.Tree{}, fmt.Errorf("gitrepo: tree %s: %w: run `git fsck` in %s", ref.ID, remote.ErrMismatch, r.path)
	}
	return remote.Tree{Payload: payload}, nil
}

// Object returns an object's kind and payload, whatever it is, in memory.
func (r *Repo) Object(ctx context.Context, id object.ID) (object.Kind, []byte, error) {
	var kind object.Kind
	_, payload, err := r.fetch(ctx, id.String(), func(h header) error {
		kind = h.kind
		return nil
	})
	return kind, payload, err
}

// Size returns a blob's size in bytes without reading its content.
func (r *Repo) Size(ctx context.Context, id object.ID) (int64, error) {
	var size int64
	r.requests.Add(1)
	err := r.pool.do(ctx, func(p *process) (bool, error) {
		h, err := p.ask("info", id.String())
		if err != nil {
			return false, err
		}
		size = h.size
		return false, expect(h, object.Blob)
	})
	return size, err
}

// sizesAtOnce is how many requests are written before their answers are read: what both directions take fits in the pipes
// (64 KiB; a request has 46 bytes, an answer at most 70).
const sizesAtOnce = 256

// Sizes returns blobs' sizes in bytes, -1 for what is no blob here. A size costs 4 us of a batch and 60 us alone.
func (r *Repo) Sizes(ctx context.Context, ids []object.ID) ([]int64, error) {
	sizes := make([]int64, 0, len(ids))
	r.requests.Add(1)
	err := r.pool.do(ctx, func(p *process) (bool, error) {
		sizes = sizes[:0]
		for batch := range slices.Chunk(ids, sizesAtOnce) {
			headers, err := p.askAll(batch)
			if err != nil {
				return false, err
			}
			for _, h := range headers {
				if h.kind != object.Blob {
					h.size = -1
				}
				sizes = append(sizes, h.size)
			}
		}
		return false, nil
	})
	return sizes, err
}

// Blob opens a blob. Cancelling ctx fails its reads until it is closed.
func (r *Repo) Blob(ctx context.Context, id object.ID) (remote.Blob, error) {
	var blob remote.Blob
	r.requests.Add(1)
	err := r.pool.do(ctx, func(p *process) (bool, error) {
		h, err := p.ask("contents", id.String())
		if err != nil {
			return false, err
		}
		if err := expect(h, object.Blob); err != nil {
			return false, err
		}
		blob.Size = h.size
		if h.size > maxWhole {
			blob.ReadCloser = &stream{ctx: ctx, repo: r, p: p, name: id.String()}
			return true, nil
		}
		b, err := p.body()
		if err != nil {
			return false, err
		}
		r.bytes.Add(uint64(len(b)))
		blob.ReadCloser = io.NopCloser(bytes.NewReader(b))
		return false, nil
	})
	if err != nil {
		return remote.Blob{}, err
	}
	if s, ok := blob.ReadCloser.(*stream); ok {
		s.release = s.p.bind(ctx)
	}
	return blob, nil
}

// contents reads an object of this kind whole.
func (r *Repo) contents(ctx context.Context, name string, want object.Kind) (object.ID, []byte, error) {
	return r.fetch(ctx, name, func(h header) error { return expect(h, want) })
}

// fetch reads an object whole, unless check refuses its header.
func (r *Repo) fetch(ctx context.Context, name string, check func(header) error) (object.ID, []byte, error) {
	var (
		id      object.ID
		payload []byte
	)
	r.requests.Add(1)
	err := r.pool.do(ctx, func(p *process) (bool, error) {
		h, err := p.ask("contents", name)
		if err != nil {
			return false, err
		}
		if err := check(h); err != nil {
			return false, err
		}
		if h.size > maxObject {
			return false, fmt.Errorf("gitrepo: %s: %w: %d bytes is too large", name, remote.ErrBadAnswer, h.size)
		}
		id = h.id
		payload, err = p.body()
		return false, err
	})
	if err != nil {
		return object.ID{}, nil, err
	}
	r.bytes.Add(uint64(len(payload)))
	return id, payload, nil
}

// expect refuses an object of another kind: what was asked for is not there.
func expect(h header, want object.Kind) error {
	if h.kind != want {
		return fmt.Errorf("gitrepo: %s %s: %w: it is a %s", want, h.id, remote.ErrNotFound, h.kind)
	}
	return nil
}

// stream is a large blob that is read from its process as its user asks. It is used by one goroutine at a time.
type stream struct {
	ctx     context.Context // ends reads, as with an HTTP body
	repo    *Repo
	p       *process // nil once given back
	name    string
	release func() // ends ctx's hold on p
	err     error  // what every further Read answers
}

func (s *stream) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if want := s.p.left - 1; int64(len(b)) > want {
		b = b[:want]
	}
	n, err := s.p.buf.Read(b)
	s.p.left -= int64(n)
	s.repo.bytes.Add(uint64(n))
	switch {
	case err != nil:
		s.err = s.failed(err)
		s.giveBack()
		return n, s.err
	case s.p.left == 1:
		s.err = io.EOF
		s.giveBack()
	}
	return n, nil
}

// failed says what a failed read means: the caller left, or the process died in the middle.
func (s *stream) failed(err error) error {
	if s.ctx.Err() != nil {
		return fmt.Errorf("gitrepo: blob %s: %w", s.name, s.ctx.Err())
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // %w of EOF would read as a complete blob
	}
	return fmt.Errorf("blob %s: %w", s.name, s.p.died(err))
}

// giveBack returns the process to the pool, which reads the rest of the answer away.
func (s *stream) giveBack() {
	p := s.p
	s.p = nil
	s.release()
	if p.broken {
		s.repo.pool.drop(p)
		return
	}
	s.repo.pool.later(p)
}

// Close gives the process back; what was not read is lost.
func (s *stream) Close() error {
	if s.p != nil {
		s.giveBack()
	}
	s.err = io.ErrClosedPipe
	return nil
}
