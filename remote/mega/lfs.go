package mega

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	neturl "net/url"
	"strings"

	"github.com/antares-actor/antares-actor/remote"
)

var _ remote.LargeFiles = (*Client)(nil)

// LargeFile asks the LFS batch API, at the server's root, where the bytes are, and opens them there. A body that breaks is
// asked for again by way of the batch API, since addresses expire.
func (c *Client) LargeFile(ctx context.Context, sum [32]byte, size int64) (remote.Blob, error) {
	s, err := c.stream(ctx, c.bodies, func(ctx, attempt context.Context, w *watch) (*body, error) {
		action, err := c.batch(attempt, w, hex.EncodeToString(sum[:]), size)
		if err != nil {
			return nil, err
		}
		b, err := c.send(ctx, attempt, w, request{url: action.Href, want: typeAny, header: action.Header})
		if err != nil {
			return nil, err
		}
		if b.size >= 0 && b.size != size {
			_ = b.Close()
			return nil, c.failed(b.what, fmt.Errorf("%w: %d bytes where the pointer says %d", remote.ErrBadAnswer, b.size, size))
		}
		b.size = size
		return b, nil
	})
	if err != nil {
		return remote.Blob{}, err
	}
	return remote.Blob{ReadCloser: s, Size: size}, nil
}

// lfsObject names a large file as the batch API does.
type lfsObject struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

// lfsAnswer is what the batch API says of one object.
type lfsAnswer struct {
	lfsObject
	Actions map[string]lfsAction `json:"actions"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type lfsAction struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

// batch makes one attempt to learn where a large file can be had.
func (c *Client) batch(ctx context.Context, w *watch, oid string, size int64) (lfsAction, error) {
	var none lfsAction
	question, err := json.Marshal(map[string]any{
		"operation": "download", "transfers": []string{"basic"}, "hash_algo": "sha256", "objects": []lfsObject{{oid, size}},
	})
	if err != nil {
		return none, err
	}
	req := request{
		method: http.MethodPost, url: c.base.JoinPath("objects/batch").String(), want: typeLFS, body: question,
		header: map[string]string{"Accept": typeLFS, "Content-Type": typeLFS},
	}
	text, err := c.once(ctx, w, req)
	if err != nil {
		return none, err
	}
	action, err := parseBatch(text, oid, size)
	if err != nil {
		return none, c.failed(req.String()+" for "+oid, err)
	}
	return action, nil
}

// parseBatch finds the address of the one object that was asked for.
func parseBatch(text []byte, oid string, size int64) (lfsAction, error) {
	var none lfsAction
	var answer struct {
		Transfer string      `json:"transfer"`
		Objects  []lfsAnswer `json:"objects"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return none, fmt.Errorf("%w: %w", remote.ErrBadAnswer, err)
	}
	if answer.Transfer != "" && answer.Transfer != "basic" {
		return none, fmt.Errorf("%w: transfer %.80q, which was not offered", remote.ErrBadAnswer, answer.Transfer)
	}
	for _, o := range answer.Objects {
		if !strings.EqualFold(o.OID, oid) {
			continue
		}
		if o.Error != nil {
			return none, fmt.Errorf("%w: %d (%.200q)", kindOf(o.Error.Code), o.Error.Code, o.Error.Message)
		}
		if o.Size != size {
			return none, fmt.Errorf("%w: %d bytes where the pointer says %d", remote.ErrBadAnswer, o.Size, size)
		}
		action, ok := o.Actions["download"]
		if u, err := neturl.Parse(action.Href); !ok || err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return none, fmt.Errorf("%w: no address to download from: %.200q", remote.ErrBadAnswer, action.Href)
		}
		return action, nil
	}
	return none, fmt.Errorf("%w: nothing about the object", remote.ErrBadAnswer)
}

// kindOf tells what an object's error code means.
func kindOf(code int) error {
	switch {
	case code == http.StatusNotFound, code == http.StatusGone:
		return remote.ErrNotFound
	case code >= 500, code == http.StatusTooManyRequests:
		return remote.ErrUnavailable
	default:
		return remote.ErrBadAnswer
	}
}
