package main

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ledger counts the requests that a server gets. It is safe for concurrent use.
type ledger struct {
	underway sync.RWMutex // read-locked by each request: its client may have the answer before it is entered

	mu    sync.Mutex
	urls  map[string]int
	spans []span
	bytes int64
}

// span is the time that a request was at the server.
type span struct{ from, to time.Time }

// tallied is what a ledger says.
type tallied struct {
	Requests int
	Routes   map[string]int // by path; all blobs are one
	Repeated int            // requests for objects, by the route of each, that had been asked for before; without the root's
	Root     int            // requests for the root's tree: to pin the head takes more than one, since it may move
	AtOnce   int            // most requests that were under way at one time, as their client saw it
	Busy     time.Duration  // the time that requests were under way, all together
	Bytes    int64          // of bodies
}

const blobRoute = "/api/v1/file/blob/"

// The routes of the API that the report names.
const (
	rawTreeRoute = "/api/v1/file/tree"
	listingRoute = "/api/v1/tree/content-hash"
)

// listings is how many requests were for a directory, by either route; those for the root's tree count as one.
func (t tallied) listings() int {
	return t.Routes[rawTreeRoute] + t.Routes[listingRoute] - max(0, t.Root-1)
}

// watch puts the ledger before a handler.
func (l *ledger) watch(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.underway.RLock()
		defer l.underway.RUnlock()
		began, body := time.Now(), &countedBody{ResponseWriter: w}
		defer func() { l.enter(r.URL.RequestURI(), span{began, time.Now()}, body.n) }()
		h.ServeHTTP(body, r)
	})
}

func (l *ledger) enter(url string, s span, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.urls == nil {
		l.urls = make(map[string]int)
	}
	l.urls[url]++
	l.spans = append(l.spans, s)
	l.bytes += bytes
}

// take returns the counts since the last take, and begins anew, when no request is under way. lag is the round trip time: for so
// long after its answer left is a request still under way for its client.
func (l *ledger) take(lag time.Duration) tallied {
	l.underway.Lock()
	defer l.underway.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := tallied{Routes: make(map[string]int), Bytes: l.bytes, AtOnce: atOnce(l.spans, lag)}
	for url, n := range l.urls {
		path, query, _ := strings.Cut(url, "?")
		if strings.HasPrefix(path, blobRoute) {
			path = blobRoute
		}
		t.Routes[path] += n
		t.Requests += n
		switch {
		case path == rawTreeRoute && (query == "path=%2F" || query == "path=/"):
			t.Root += n
		case path == blobRoute, path == rawTreeRoute, path == listingRoute:
			t.Repeated += n - 1
		}
	}
	for _, s := range l.spans {
		t.Busy += s.to.Add(lag).Sub(s.from)
	}
	l.urls, l.spans, l.bytes = nil, nil, 0
	return t
}

// atOnce is the largest number of spans, each made longer by lag, that have an instant in common.
func atOnce(spans []span, lag time.Duration) int {
	type edge struct {
		at   time.Time
		step int
	}
	var edges []edge
	for _, s := range spans {
		edges = append(edges, edge{s.from, 1}, edge{s.to.Add(lag), -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.step, b.step)) })
	most, now := 0, 0
	for _, e := range edges {
		now += e.step
		most = max(most, now)
	}
	return most
}

// countedBody counts what a handler writes.
type countedBody struct {
	http.ResponseWriter
	n int64
}

func (c *countedBody) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *countedBody) Unwrap() http.ResponseWriter { return c.ResponseWriter }
