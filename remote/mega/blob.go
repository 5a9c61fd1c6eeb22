package mega

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// smallBody is the size in bytes up to which a blob is read within the attempt that opens it: it is verified then, and all
// of it is tried again if it is damaged, or late.
const smallBody = 64 << 10

// Blob opens a blob's bytes. Cancelling ctx fails its reads until it is closed. The API has no sizes of their own: Size
// is the Content-Length. A body that breaks is asked for again, unseen by its reader.
func (c *Client) Blob(ctx context.Context, id object.ID) (remote.Blob, error) {
	req := request{url: c.route("file/blob/" + id.String()), want: typeBytes}
	s, err := c.stream(ctx, c.blobs, func(ctx, attempt context.Context, w *watch) (*body, error) {
		b, err := c.send(ctx, attempt, w, req)
		if err != nil || b.size < 0 || b.size > smallBody {
			return b, err
		}
		if err := b.readAll(id); err != nil {
			_ = b.Close()
			return nil, err
		}
		return b, nil
	})
	if err != nil {
		return remote.Blob{}, err
	}
	return remote.Blob{ReadCloser: s, Size: s.size}, nil
}

// readAll reads a blob to its end and verifies it; what is read from the body then comes from memory.
func (b *body) readAll(id object.ID) error {
	content := make([]byte, b.size)
	if _, err := io.ReadFull(b, content); err != nil {
		return err
	}
	if got := object.Sum(object.Blob, content); got != id {
		return b.c.failed(b.what, fmt.Errorf("%w: %w: %d bytes that hash to %s", remote.ErrMismatch, errDamaged, len(content), got))
	}
	if err := b.rc.Close(); err != nil {
		return b.c.transport(b.reqCtx, b.what, err)
	}
	b.rc, b.local = io.NopCloser(bytes.NewReader(content)), true
	return nil
}
