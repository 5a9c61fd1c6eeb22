package mega_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antares-actor/antares-actor/remote/mega"
)

// inBubble runs a test with a server and a client of it that share a network and a clock of their own: time passes only
// when all wait for it, so that hours take no time and what is measured is exact.
func inBubble(t *testing.T, h http.Handler, test func(*testing.T, *mega.Client), change ...func(*mega.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
		srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Hour}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(ln) }()
		transport := &http.Transport{DialContext: ln.dial, MaxIdleConnsPerHost: 128, DisableCompression: true}
		cfg := mega.Config{BaseURL: "http://mega", Client: &http.Client{Transport: transport}}
		for _, f := range change {
			f(&cfg)
		}
		o, err := mega.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			o.Close()
			transport.CloseIdleConnections()
			srv.Close()
			<-done
		}()
		test(t, o)
	})
}

// pipes is a network of pipes in memory.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.accepted <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// took runs f and returns how long that was.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// near wants a duration between two others.
func near(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s took %v, want %v to %v", what, got, least, most)
	}
}
