package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestALedgerCountsByRouteAndObject(t *testing.T) {
	var l ledger
	h := l.watch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "12345") }))
	for _, url := range []string{
		blobRoute + "aa", blobRoute + "bb", blobRoute + "aa", rawTreeRoute + "?path=/a", rawTreeRoute + "?path=/b",
		listingRoute + "?path=/a", rawTreeRoute + "?path=%2F", rawTreeRoute + "?path=%2F", "/api/v1/latest-commit?path=/", "/api/v1/latest-commit?path=/",
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	}
	got := l.take(0)
	if got.Requests != 10 || got.Routes[blobRoute] != 3 || got.listings() != 4 || got.Root != 2 || got.Bytes != 50 {
		t.Errorf("counted %+v", got)
	}
	if got.Repeated != 1 {
		t.Errorf("%d objects were asked for again, want the blob only", got.Repeated)
	}
	if again := l.take(0); again.Requests != 0 || again.Busy != 0 || again.Bytes != 0 {
		t.Errorf("a taken ledger still has %+v", again)
	}
}

func TestRequestsAtOnce(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	cases := []struct {
		name  string
		spans []span
		lag   time.Duration
		want  int
	}{
		{"of none", nil, 0, 0},
		{"one after the other", []span{{at(0), at(1)}, {at(1), at(2)}}, 0, 1},
		{"overlapping", []span{{at(0), at(3)}, {at(1), at(2)}, {at(2), at(4)}}, 0, 2},
		{"one within a round trip of the other", []span{{at(0), at(1)}, {at(4), at(5)}}, 5 * time.Millisecond, 2},
		{"one a round trip after the other", []span{{at(0), at(1)}, {at(6), at(7)}}, 5 * time.Millisecond, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := atOnce(c.spans, c.lag); got != c.want {
				t.Errorf("%d at once, want %d", got, c.want)
			}
		})
	}
}

func TestAnAnswerIsUnderWayForARoundTripMore(t *testing.T) {
	var l ledger
	begin := time.Unix(0, 0)
	l.enter("/a", span{begin, begin.Add(time.Second)}, 1)
	l.enter("/b", span{begin, begin.Add(2 * time.Second)}, 1)
	if got := l.take(time.Second).Busy; got != 5*time.Second {
		t.Errorf("the requests were under way for %v", got)
	}
}
