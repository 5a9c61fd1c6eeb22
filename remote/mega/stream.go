package mega

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

// maxRestarts is how often one stream is begun again, as long as each time brings it further.
const maxRestarts = 64

// opener opens a body from its first byte: it lives until ctx ends, its opening until attempt does.
type opener func(ctx, attempt context.Context, w *watch) (*body, error)

// stream is a large answer that survives broken connections: since the server sends no ranges, it is asked for again from
// its start, and the bytes that were read already are skipped. Whoever reads it verifies the whole anyway. It is used by
// one goroutine at a time.
type stream struct {
	c        *Client
	ctx      context.Context // its caller's
	open     opener
	body     *body
	off      int64 // bytes that were read
	size     int64 // -1 when unknown
	restarts int
	err      error // the end, once there was one
}

// stream opens one, late headers being asked for twice if p does so.
func (c *Client) stream(ctx context.Context, p *policy[*body], open opener) (*stream, error) {
	b, err := p.run(ctx, false, c.cfg.SilenceTimeout, func(attempt context.Context, w *watch) (*body, error) {
		b, err := open(ctx, attempt, w)
		if err == nil {
			b.outlive()
		}
		return b, err
	})
	if err != nil {
		return nil, err
	}
	return &stream{c: c, ctx: ctx, open: open, body: b, size: b.size}, nil
}

// Read reads on, beginning anew as often as it takes.
func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	n, err := s.body.Read(p)
	if err != nil && n == 0 && !errors.Is(err, io.EOF) {
		n, err = s.restart(p, err)
	}
	s.off += int64(n)
	if err != nil && (n == 0 || errors.Is(err, io.EOF)) { // else the next Read meets it
		s.err = err
		return n, err
	}
	return n, nil
}

// restart asks for the bytes again, skips what was read, and reads on into p.
func (s *stream) restart(p []byte, broke error) (n int, err error) {
	s.c.breaker.record(broke, time.Now())
	if s.restarts++; s.restarts > maxRestarts || !errors.Is(broke, remote.ErrUnavailable) {
		return 0, broke
	}
	s.c.log.InfoContext(s.ctx, "reading again from the start", "err", broke, "read", s.off)
	_ = s.body.Close()
	again, err := s.c.bodies.run(s.ctx, true, s.c.cfg.SilenceTimeout, func(attempt context.Context, w *watch) (*body, error) {
		b, err := s.open(s.ctx, attempt, w)
		if err != nil {
			return nil, err
		}
		if n, err = s.skip(b, p); n == 0 && err != nil && !errors.Is(err, io.EOF) {
			_ = b.Close()
			return nil, err
		}
		b.outlive()
		return b, nil
	})
	if err != nil {
		return 0, err
	}
	s.body = again
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// skip brings a new body to where the old one broke, and reads the first bytes beyond it.
func (s *stream) skip(b *body, p []byte) (int, error) {
	if b.size < 0 {
		b.size = s.size
	}
	if b.size != s.size && s.size >= 0 {
		return 0, s.c.failed(b.what, fmt.Errorf("%w: %d bytes where it had %d before", remote.ErrBadAnswer, b.size, s.size))
	}
	if n, err := io.CopyN(io.Discard, b, s.off); err != nil {
		if errors.Is(err, io.EOF) {
			err = s.c.failed(b.what, fmt.Errorf("%w: ended after %d bytes of at least %d", remote.ErrUnavailable, n, s.off))
		}
		return 0, err
	}
	for {
		if n, err := b.Read(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// Close ends the stream, read or not.
func (s *stream) Close() error {
	s.err = errClosed
	return s.body.Close()
}

var errClosed = errors.New("mega: read of a closed body")
