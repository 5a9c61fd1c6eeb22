package mega

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	neturl "net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/antares-actor/antares-actor/remote"
)

// The content types of Mega's routes.
const (
	typeJSON  = "application/json"
	typeBytes = "application/octet-stream"
)

const (
	maxErrorBody  = 4 << 10 // bytes of an error's body read for its message
	maxRetryAfter = 5 * time.Second
)

// Why a request was given up by us and not by its caller.
var (
	errSlowHeaders = errors.New("no answer in time")
	errStalled     = errors.New("the body stalled")
)

// statusError is an answer other than 200.
type statusError struct {
	status  int
	message string        // the envelope's, empty when there was no envelope
	wait    time.Duration // Retry-After, 0 when not given
	kind    error         // the remote error it stands for
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	if e.message != "" {
		text += fmt.Sprintf(" (%.200q)", e.message)
	}
	return text
}

// Unwrap gives the remote error, and the wait in the form that the retry loop looks for.
func (e *statusError) Unwrap() []error {
	if e.wait == 0 {
		return []error{e.kind}
	}
	return []error{e.kind, &backoff.RetryAfterError{Duration: e.wait}}
}

// route returns the URL of an API route with query parameters given as name, value, name, value. Values are escaped byte
// by byte, so names that are not UTF-8 survive; a space is %20, since not every server reads + as one.
func (c *Client) route(path string, query ...string) string {
	u := *c.base
	u = *u.JoinPath("api/v1", path)
	var q strings.Builder
	for i := 0; i < len(query); i += 2 {
		if i > 0 {
			q.WriteByte('&')
		}
		q.WriteString(query[i] + "=" + strings.ReplaceAll(neturl.QueryEscape(query[i+1]), "+", "%20"))
	}
	u.RawQuery = q.String()
	return u.String()
}

// fetch GETs a URL whole, trying again on transient trouble.
func (c *Client) fetch(ctx context.Context, url, contentType string) ([]byte, error) {
	return retry(ctx, c, func() ([]byte, error) {
		body, err := c.get(ctx, url, contentType)
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
			return nil, c.failed(url, fmt.Errorf("%w: more than %d bytes", remote.ErrBadAnswer, c.cfg.MaxListing))
		}
		return b, nil
	})
}

// retry runs op until it succeeds, fails for good, or has had its tries. Only remote.ErrUnavailable is worth another.
func retry[T any](ctx context.Context, c *Client, op func() (T, error)) (T, error) {
	waits := backoff.NewExponentialBackOff() // jittered by half
	waits.InitialInterval, waits.Multiplier = c.cfg.Backoff, 2
	v, err := backoff.Retry(ctx, func() (T, error) {
		v, err := op()
		if err != nil && !errors.Is(err, remote.ErrUnavailable) {
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(waits), backoff.WithMaxTries(c.cfg.Tries), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, wait time.Duration) {
			c.log.InfoContext(ctx, "trying again", "err", err, "wait", wait)
		}))
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("mega: %w: %w", ctx.Err(), err)
	}
	return v, err
}

// get makes one attempt and returns the body of a 200 of this content type.
func (c *Client) get(ctx context.Context, url, contentType string) (*body, error) {
	reqCtx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(reqCtx, http.MethodGet, url, nil)
	if err != nil {
		cancel(nil)
		return nil, c.failed(url, err)
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	c.requests.Add(1)
	start := time.Now()
	slow := time.AfterFunc(c.cfg.HeaderTimeout, func() { cancel(errSlowHeaders) })
	resp, err := c.http.Do(req)
	slow.Stop()
	if err != nil {
		err = c.transport(ctx, reqCtx, url, err)
		cancel(nil)
		return nil, err
	}
	c.log.DebugContext(ctx, "request", "url", url, "status", resp.StatusCode, "took", time.Since(start))
	b := &body{c: c, ctx: ctx, reqCtx: reqCtx, cancel: cancel, rc: resp.Body, url: url, size: resp.ContentLength}
	if err := check(resp, b, contentType); err != nil {
		_ = b.Close()
		return nil, c.failed(url, err)
	}
	return b, nil
}

// check refuses answers that are not what was asked for.
func check(resp *http.Response, b *body, contentType string) error {
	got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != http.StatusOK {
		return statusOf(resp, b, got)
	}
	if got != contentType {
		return fmt.Errorf("%w: %s where %s belongs: is this a Mega server?", remote.ErrBadAnswer, orNone(got), contentType)
	}
	return nil
}

// statusOf reads an error answer: what it says, and which remote error it is.
func statusOf(resp *http.Response, b *body, contentType string) error {
	e := &statusError{status: resp.StatusCode, kind: remote.ErrBadAnswer}
	var env struct {
		Result  *bool  `json:"req_result"`
		Message string `json:"err_message"`
	}
	if contentType == typeJSON {
		text, _ := io.ReadAll(io.LimitReader(b, maxErrorBody)) // an unreadable message is no message
		if json.Unmarshal(text, &env) == nil && env.Result != nil && !*env.Result {
			e.message = env.Message
		}
	}
	switch {
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		e.kind = remote.ErrUnavailable
		e.wait = retryAfter(resp.Header.Get("Retry-After"))
	case resp.StatusCode == http.StatusNotFound && env.Result != nil:
		e.kind = remote.ErrNotFound
	}
	return e
}

func retryAfter(text string) time.Duration {
	sec, err := strconv.Atoi(text)
	if err != nil || sec <= 0 {
		return 0
	}
	return min(time.Duration(sec)*time.Second, maxRetryAfter)
}

// transport says what a failed exchange means: its caller left, we gave it up, or the network failed.
func (c *Client) transport(ctx, reqCtx context.Context, url string, err error) error {
	if ctx.Err() != nil {
		return c.failed(url, ctx.Err())
	}
	if cause := context.Cause(reqCtx); cause != nil {
		return c.failed(url, fmt.Errorf("%w: %w", remote.ErrUnavailable, cause))
	}
	if u, ok := errors.AsType[*neturl.Error](err); ok {
		err = u.Err // it repeats the URL
	}
	return c.failed(url, fmt.Errorf("%w: %w", remote.ErrUnavailable, err))
}

// failed puts the operation in front of an error, as one line.
func (c *Client) failed(url string, err error) error {
	return fmt.Errorf("mega: GET %s: %w", redact(url), err)
}

func redact(text string) string {
	u, err := neturl.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	return u.Redacted()
}

func orNone(s string) string {
	if s == "" {
		return "no content type"
	}
	return s
}
