package mega

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	neturl "net/url"
	"strings"
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

// The content types of Mega's routes.
const (
	typeJSON  = "application/json"
	typeBytes = "application/octet-stream"
	typeLFS   = "application/vnd.git-lfs+json"
	typeAny   = ""
)

// slowFactor is how much longer than usual the headers of a request may take for which the server reads half a repository.
const slowFactor = 4

// Why a request was given up by us and not by its caller.
var (
	errSlowHeaders = errors.New("no answer in time")
	errStalled     = errors.New("the body stalled")
)

// errDamaged marks an answer that was complete and still cannot be what the server meant to send: asking again is worth it.
var errDamaged = errors.New("damaged on the way")

// route returns the URL of an API route with query parameters given as name, value, name, value. The path is escaped
// already; values are escaped byte
// by byte, so names that are not UTF-8 survive; a space is %20, since not every server reads + as one.
func (c *Client) route(path string, query ...string) string {
	if len(query) == 0 {
		return c.api + path
	}
	var q strings.Builder
	for i := 0; i < len(query); i += 2 {
		if i > 0 {
			q.WriteByte('&')
		}
		q.WriteString(query[i] + "=" + strings.ReplaceAll(neturl.QueryEscape(query[i+1]), "+", "%20"))
	}
	return c.api + path + "?" + q.String()
}

// request is what is asked of a server.
type request struct {
	method string // "" is GET
	url    string
	want   string // content type
	header map[string]string
	body   []byte
	slow   bool // the server computes the answer: wait longer for its headers

	verify func([]byte) error // refuses a whole answer; nil if any JSON, or any bytes, will do
}

func (r *request) String() string {
	if r.method == "" {
		return "GET " + redact(r.url)
	}
	return r.method + " " + redact(r.url)
}

// fetch reads a whole answer, trying again on transient trouble.
func (c *Client) fetch(ctx context.Context, url, contentType string) ([]byte, error) {
	return c.whole(ctx, c.listings, request{url: url, want: contentType})
}

// whole reads an answer into memory, the way of a policy.
func (c *Client) whole(ctx context.Context, p *policy[[]byte], req request) ([]byte, error) {
	silence := c.cfg.SilenceTimeout
	if req.slow {
		silence *= slowFactor
	}
	return p.run(ctx, false, silence, func(attempt context.Context, w *watch) ([]byte, error) {
		return c.once(attempt, w, req)
	})
}

// once makes one attempt to read a whole answer.
func (c *Client) once(ctx context.Context, w *watch, req request) ([]byte, error) {
	body, err := c.send(ctx, ctx, w, req)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var b []byte
	if body.size <= c.cfg.MaxListing { // -1 when not announced
		if b, err = io.ReadAll(io.LimitReader(body, c.cfg.MaxListing+1)); err != nil {
			return nil, err
		}
	}
	if max(body.size, int64(len(b))) > c.cfg.MaxListing {
		return nil, c.failed(body.what, fmt.Errorf("%w: more than %d bytes", remote.ErrBadAnswer, c.cfg.MaxListing))
	}
	switch {
	case req.want != typeBytes && !json.Valid(b):
		err = fmt.Errorf("%w: %w: no JSON: %.80q", remote.ErrBadAnswer, errDamaged, b)
	case req.verify != nil:
		err = req.verify(b)
	}
	if err != nil {
		return nil, c.failed(body.what, err)
	}
	return b, nil
}

// send makes one attempt and returns the body of a 200 of the wanted content type. The body lives until ctx ends, or until
// attempt does if that is earlier and body.outlive was not called.
func (c *Client) send(ctx, attempt context.Context, w *watch, r request) (*body, error) {
	reqCtx, cancel := context.WithCancelCause(ctx)
	b := &body{c: c, reqCtx: reqCtx, cancel: cancel, watch: w, what: r.String()}
	b.unbind = context.AfterFunc(attempt, func() { cancel(context.Cause(attempt)) })
	req, err := http.NewRequestWithContext(reqCtx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		b.unbind()
		cancel(nil)
		return nil, c.failed(b.what, err)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	c.requests.Add(1)
	patience := c.cfg.HeaderTimeout
	if r.slow {
		patience *= slowFactor
	}
	start := time.Now()
	late := time.AfterFunc(patience, func() { cancel(errSlowHeaders) })
	resp, err := c.http.Do(req)
	late.Stop()
	if err != nil {
		err = c.transport(reqCtx, b.what, err)
		b.unbind()
		cancel(nil)
		return nil, err
	}
	w.heard()
	if c.log.Enabled(ctx, slog.LevelDebug) { // its arguments are allocated before it looks
		c.log.DebugContext(ctx, "request", "url", redact(r.url), "status", resp.StatusCode, "took", time.Since(start))
	}
	b.rc, b.size = resp.Body, resp.ContentLength
	if err := check(resp, b, r.want); err != nil {
		_ = b.Close()
		return nil, c.failed(b.what, err)
	}
	return b, nil
}

// transport says what a failed exchange means: its caller left, we gave it up, or the network failed.
func (c *Client) transport(reqCtx context.Context, what string, err error) error {
	cause := context.Cause(reqCtx)
	for _, ours := range []error{errSlowHeaders, errStalled, errSilence} {
		if errors.Is(cause, ours) {
			return c.failed(what, fmt.Errorf("%w: %w", remote.ErrUnavailable, cause))
		}
	}
	if reqCtx.Err() != nil {
		return c.failed(what, reqCtx.Err())
	}
	if u, ok := errors.AsType[*neturl.Error](err); ok {
		err = u.Err // it repeats the URL
	}
	return c.failed(what, fmt.Errorf("%w: %w", remote.ErrUnavailable, err))
}

// failed puts the operation in front of an error, as one line.
func (c *Client) failed(what string, err error) error {
	return fmt.Errorf("mega: %s: %w", what, err)
}

func redact(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	u, err := neturl.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	return u.Redacted()
}
