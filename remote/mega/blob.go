package mega

import (
	"context"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Blob opens a blob's bytes. Cancelling ctx fails its reads until it is closed. The API has no sizes of their own: Size
// is the Content-Length.
func (c *Client) Blob(ctx context.Context, id object.ID) (remote.Blob, error) {
	url := c.route("file/blob/" + id.String())
	b, err := retry(ctx, c, func() (*body, error) { return c.get(ctx, url, typeBytes) })
	if err != nil {
		return remote.Blob{}, err
	}
	return remote.Blob{ReadCloser: b, Size: b.size}, nil
}
