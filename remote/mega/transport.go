package mega

import (
	"net"
	"net/http"
	neturl "net/url"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	// maxIdlePerHost keeps more connections open than loaders run at once: a request that finds none free dials, takes one
	// that comes free meanwhile, and leaves the dialled one to the next. net/http's default of 2 would reconnect for nearly
	// every request of a parallel walk.
	maxIdlePerHost = 128
	idleConnTime   = 90 * time.Second
	// quietConn is how long an HTTP/2 connection may bring nothing before it is asked whether it still lives: all requests
	// share it, and a server that vanished without a word would hold up each of them for its whole timeout.
	quietConn = 10 * time.Second
)

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: connectTimeout,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: quietConn, PingTimeout: connectTimeout},
		MaxIdleConns:        maxIdlePerHost,
		MaxIdleConnsPerHost: maxIdlePerHost,
		IdleConnTimeout:     idleConnTime,
		DisableCompression:  true, // a decoded body has no Content-Length, which is how a half body shows
	}
}

// bearer gives requests to the server the token, and only those: a redirect, or the address that a large file's batch answer
// names, may lead to another host.
type bearer struct {
	next  http.RoundTripper
	base  *neturl.URL
	token string
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == b.base.Scheme && r.URL.Host == b.base.Host && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}
