package mega

import (
	"context"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Blob opens a blob's bytes. Cancelling ctx fails its reads until it is closed. The API has no sizes of their own: Size
// is the Content-Length. A body that breaks is asked for again, unseen by its reader.
func (c *Client) Blob(ctx context.Context, id object.ID) (remote.Blob, error) {
	req := request{url: c.route("file/blob/" + id.String()), want: typeBytes}
	s, err := c.stream(ctx, c.blobs, func(ctx, attempt context.Context, w *watch) (*body, error) {
		return c.send(ctx, attempt, w, req)
	})
	if err != nil {
		return remote.Blob{}, err
	}
	return remote.Blob{ReadCloser: s, Size: s.size}, nil
}
