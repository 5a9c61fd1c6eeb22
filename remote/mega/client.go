package mega

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/remote"
)

// Config says which server to ask and how patiently. Only BaseURL is needed.
type Config struct {
	BaseURL string       // "http://host:8000", with the path before /api/v1 if there is one
	Token   string       // sent as a bearer token unless empty; reads need none
	Log     *slog.Logger // nil discards

	// Client makes the requests; nil is one with a connection pool of its own. A client given here stays its owner's.
	Client *http.Client

	Tries         uint          // attempts per request; 0 is 4
	Backoff       time.Duration // wait before the second attempt, about doubling from there; 0 is 100 ms
	HeaderTimeout time.Duration // longest wait for an answer's headers; 0 is 30 s
	IdleTimeout   time.Duration // longest wait for any further byte of a body; 0 is 30 s
	MaxListing    int64         // largest tree or listing in bytes, all held in memory; 0 is 64 MiB, some 700,000 names
}

// Client is an open Mega server.
type Client struct {
	base   *url.URL // with a path that has no slash at its end; immutable
	cfg    Config   // completed by Open; immutable
	log    *slog.Logger
	http   *http.Client
	pooled *http.Transport // ours to close; nil when Config.Client was given

	requests atomic.Uint64
	bytes    atomic.Uint64
}

var _ remote.Origin = (*Client)(nil)

const (
	connectTimeout = 5 * time.Second
	// maxIdlePerHost keeps as many connections open as loaders run at once; net/http's default of 2 would reconnect for
	// nearly every request of a parallel walk.
	maxIdlePerHost = 64
	idleConnTime   = 90 * time.Second
)

// Open checks the configuration. It makes no request: Pin is the first.
func Open(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("mega: open: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("mega: open %q: not a server's address: write http://HOST:PORT", cfg.BaseURL)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("mega: open %q: an address has no query and no fragment: write http://HOST:PORT", u.Redacted())
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	c := &Client{base: u, cfg: withDefaults(cfg), log: cfg.Log, http: cfg.Client}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.http == nil {
		c.pooled = newTransport()
		c.http = &http.Client{Transport: c.pooled}
	}
	return c, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Tries == 0 {
		cfg.Tries = 4
	}
	if cfg.Backoff == 0 {
		cfg.Backoff = 100 * time.Millisecond
	}
	if cfg.HeaderTimeout == 0 {
		cfg.HeaderTimeout = 30 * time.Second
	}
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = 30 * time.Second
	}
	if cfg.MaxListing == 0 {
		cfg.MaxListing = 64 << 20
	}
	return cfg
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: connectTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        maxIdlePerHost,
		MaxIdleConnsPerHost: maxIdlePerHost,
		IdleConnTimeout:     idleConnTime,
		DisableCompression:  true, // a decoded body has no Content-Length, which is how a half body shows
	}
}

// String names the server as the mount flag --origin does, without credentials.
func (c *Client) String() string {
	u := *c.base
	u.User = nil
	return u.String()
}

// Counts counts each attempt as a request, and the bytes of bodies.
func (c *Client) Counts() remote.Counts {
	return remote.Counts{Requests: c.requests.Load(), Bytes: c.bytes.Load()}
}

// Close closes the connections that are not in use. Bodies still open can be read to their end.
func (c *Client) Close() error {
	if c.pooled != nil {
		c.pooled.CloseIdleConnections()
	}
	return nil
}
