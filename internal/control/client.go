package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Errors of a Client.
var (
	ErrRefused = errors.New("refused")                 // what was asked for is wrong, or not there
	ErrFailed  = errors.New("the server failed")       // so did the origin, or the server itself
	ErrNobody  = errors.New("no server to be reached") // it has ended, or is another user's
)

// Client asks the server of one mount.
type Client struct{ http *http.Client }

// Dial returns a client for the socket at path. It connects with the first request.
func Dial(path string) *Client {
	var d net.Dialer
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) },
	}}}
}

// Status asks what the mount shows.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.ask(ctx, http.MethodGet, "", nil, &s)
}

// Switch moves the mount to a revision, "" for the origin's head.
func (c *Client) Switch(ctx context.Context, rev string) (s Switched, err error) {
	return s, c.ask(ctx, http.MethodPost, "/switch", switchRequest{Rev: rev}, &s)
}

// SetChangelist has the mount show a changelist whose paths are relative to path.
func (c *Client) SetChangelist(ctx context.Context, link, path string) (s Switched, err error) {
	return s, c.ask(ctx, http.MethodPut, "/changelist", changelistRequest{Link: link, Path: path}, &s)
}

// ClearChangelist has the mount show no changelist.
func (c *Client) ClearChangelist(ctx context.Context) (s Switched, err error) {
	return s, c.ask(ctx, http.MethodDelete, "/changelist", nil, &s)
}

func (c *Client) ask(ctx context.Context, method, route string, body, answer any) error {
	resp, err := c.send(ctx, method, route, body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("%w: answer: %w", ErrNobody, err)
	}
	return nil
}

// send makes a request and returns its answer, if that is no error.
func (c *Client) send(ctx context.Context, method, route string, body any) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://mount/v1/mount"+route, in)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNobody, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer func() { _ = resp.Body.Close() }()
		return nil, refusal(resp)
	}
	return resp, nil
}

// refusal reads an error answer.
func refusal(resp *http.Response) error {
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&f); err != nil || f.Error == "" {
		f.Error = resp.Status
	}
	if resp.StatusCode < http.StatusInternalServerError {
		return fmt.Errorf("%w: %s", ErrRefused, f.Error)
	}
	return fmt.Errorf("%w: %s", ErrFailed, f.Error)
}
