package mega

import (
	"context"
	"errors"
	"io"
	"time"
)

// shortIdle is IdleTimeout for a body of up to smallBody, the first time. Who has sent the headers has the rest ready, and asking
// again costs next to nothing: one packet's loss would hold up a lookup, a read or a switch for half a minute.
const shortIdle = 5 * time.Second

// body is an answer's body: it counts bytes, gives up on a server that stalls, and says what went wrong. It is used by
// one goroutine at a time.
type body struct {
	c      *Client
	reqCtx context.Context // the request's, which cancel ends
	cancel context.CancelCauseFunc
	unbind func() bool // from the attempt's context
	watch  *watch      // hears of each byte; nil once the attempt is over
	rc     io.ReadCloser
	what   string // "GET http://..."
	size   int64  // Content-Length, or what is known otherwise; -1 when nothing is
	got    int64  // bytes that came
	local  bool   // the rest of it is here
}

// Read is bounded by the idle timeout; the time between two Reads is the reader's own and is not.
func (b *body) Read(p []byte) (int, error) {
	if b.local {
		if err := b.reqCtx.Err(); err != nil {
			return 0, b.c.failed(b.what, err)
		}
		return b.rc.Read(p)
	}
	limit := b.c.cfg.IdleTimeout
	if b.watch != nil && b.watch.first && b.size >= 0 && b.size <= smallBody {
		limit = min(limit, shortIdle)
	}
	idle := time.AfterFunc(limit, func() { b.cancel(errStalled) })
	n, err := b.rc.Read(p)
	idle.Stop()
	b.c.bytes.Add(uint64(n))
	b.got += int64(n)
	if n > 0 && b.watch != nil {
		b.watch.heard()
	}
	if errors.Is(err, io.EOF) && b.got < b.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) { // net/http has turned a body shorter than announced into ErrUnexpectedEOF
		err = b.c.transport(b.reqCtx, b.what, err)
	}
	return n, err
}

// outlive lets the body live on after the attempt that opened it: until its caller's context ends or it is closed.
func (b *body) outlive() {
	b.unbind()
	b.watch = nil
}

// Close lets go of the connection; it is used again only when the body was read to its end.
func (b *body) Close() error {
	err := b.rc.Close()
	b.unbind()
	b.cancel(nil)
	return err
}
