package mega

import (
	"cmp"
	"fmt"
	"log/slog"
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

	Tries         uint          // attempts per request, and for each new part of a broken body; 0 is 5
	Backoff       time.Duration // wait before the second attempt, about doubling from there; 0 is 100 ms
	HeaderTimeout time.Duration // longest wait for an answer's headers; 0 is 30 s
	IdleTimeout   time.Duration // longest wait for any further byte of a body; 0 is 30 s; see shortIdle
	// SilenceTimeout ends a request for good when the server has sent nothing for so long, attempts and the waits between
	// them included; 0 is 90 s.
	SilenceTimeout time.Duration
	MaxListing     int64 // largest tree or listing in bytes, all held in memory; 0 is 64 MiB, some 700,000 names

	// HedgeFloor is the least time after which a late answer is asked for a second time; 0 is 100 ms, negative is never.
	HedgeFloor time.Duration

	Trip      uint          // attempts in a row that fail before requests are refused here; 0 is 100
	TripAfter time.Duration // and for how long they must have failed; 0 is 2 s. Four in two minutes will do too.
	Pause     time.Duration // between requests that try the server then; 0 is 1 s
}

// Client is an open Mega server.
type Client struct {
	base   *url.URL // with a path that has no slash at its end; immutable
	api    string   // what the API's routes begin with; immutable
	cfg    Config   // completed by Open; immutable
	log    *slog.Logger
	http   *http.Client
	pooled *http.Transport // ours to close; nil when Config.Client was given

	breaker  *breaker
	listings *policy[[]byte] // late ones are asked for twice
	answers  *policy[[]byte] // never
	blobs    *policy[*body]  // late headers are asked for twice
	bodies   *policy[*body]  // never

	pinned atomic.Pointer[remote.Commit] // the head that was pinned last

	requests atomic.Uint64
	hedged   atomic.Uint64
	bytes    atomic.Uint64
}

var _ remote.Origin = (*Client)(nil)

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
	c := &Client{base: u, api: u.JoinPath("api/v1").String() + "/", cfg: withDefaults(cfg), log: cfg.Log, http: cfg.Client}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.openTransport()
	c.breaker = newBreaker(c.cfg, c.log.With("url", c.String()))
	keep := func([]byte) {}
	shut := func(b *body) { _ = b.Close() }
	c.listings = newPolicy(c, &latency{floor: c.cfg.HedgeFloor}, keep)
	c.answers = newPolicy(c, nil, keep)
	c.blobs = newPolicy(c, &latency{floor: c.cfg.HedgeFloor}, shut)
	c.bodies = newPolicy(c, nil, shut)
	return c, nil
}

// openTransport gives the requests connections, and the token.
func (c *Client) openTransport() {
	own := http.Client{}
	if c.http != nil {
		own = *c.http
	} else {
		c.pooled = newTransport()
		own.Transport = c.pooled
	}
	if c.cfg.Token != "" {
		next := own.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		own.Transport = &bearer{next: next, base: c.base, token: c.cfg.Token}
	}
	c.http = &own
}

func withDefaults(cfg Config) Config {
	cfg.Tries = cmp.Or(cfg.Tries, 5)
	cfg.Backoff = cmp.Or(cfg.Backoff, 100*time.Millisecond)
	cfg.HeaderTimeout = cmp.Or(cfg.HeaderTimeout, 30*time.Second)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 30*time.Second)
	cfg.SilenceTimeout = cmp.Or(cfg.SilenceTimeout, 90*time.Second)
	cfg.MaxListing = cmp.Or(cfg.MaxListing, 64<<20)
	cfg.HedgeFloor = cmp.Or(cfg.HedgeFloor, 100*time.Millisecond)
	cfg.Trip = cmp.Or(cfg.Trip, 100)
	cfg.TripAfter = cmp.Or(cfg.TripAfter, 2*time.Second)
	cfg.Pause = cmp.Or(cfg.Pause, time.Second)
	return cfg
}

// String names the server as the mount flag --origin does, without credentials.
func (c *Client) String() string {
	u := *c.base
	u.User = nil
	return u.String()
}

// Counts counts each attempt as a request, and the bytes of bodies.
func (c *Client) Counts() remote.Counts {
	return remote.Counts{Requests: c.requests.Load(), Hedged: c.hedged.Load(), Bytes: c.bytes.Load()}
}

// Close closes the connections that are not in use. Bodies still open can be read to their end.
func (c *Client) Close() error {
	if c.pooled != nil {
		c.pooled.CloseIdleConnections()
	}
	return nil
}
