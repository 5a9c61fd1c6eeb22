package mega

import (
	"context"
	"errors"
	"io"
	"time"
)

// body is an answer's body: it counts bytes, gives up on a server that stalls, and says what went wrong. It is used by
// one goroutine at a time.
type body struct {
	c      *Client
	ctx    context.Context // the caller's
	reqCtx context.Context // the request's, which cancel ends
	cancel context.CancelCauseFunc
	rc     io.ReadCloser
	url    string
	size   int64 // Content-Length, -1 when not given
}

// Read is bounded by the idle timeout; the time between two Reads is the reader's own and is not.
func (b *body) Read(p []byte) (int, error) {
	idle := time.AfterFunc(b.c.cfg.IdleTimeout, func() { b.cancel(errStalled) })
	n, err := b.rc.Read(p)
	idle.Stop()
	b.c.bytes.Add(uint64(n))
	if err != nil && !errors.Is(err, io.EOF) { // net/http has turned a body shorter than announced into ErrUnexpectedEOF
		err = b.c.transport(b.ctx, b.reqCtx, b.url, err)
	}
	return n, err
}

// Close lets go of the connection; it is used again only when the body was read to its end.
func (b *body) Close() error {
	err := b.rc.Close()
	b.cancel(nil)
	return err
}
