package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/remote/fault"
)

const text = "0123456789abcdefghij"

// page answers text; it says how long that is unless the URL ends in "chunked", and sends a byte at a time.
func page(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	}
	w.Header().Set("X-Real", "yes")
	w.WriteHeader(http.StatusAccepted)
	if r.URL.Path == "/flushed" {
		_ = http.NewResponseController(w).Flush()
	}
	for i := range len(text) {
		_, _ = w.Write([]byte{text[i]})
	}
}

// answer is what a client saw.
type answer struct {
	status int
	length int64
	body   string
	header http.Header
	err    error
}

func fetch(ctx context.Context, method, url string) answer {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return answer{err: err}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.ContentLength, string(b), resp.Header, err}
}

// serve serves page behind a fault.
func serve(t *testing.T, f fault.Fault) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, http.HandlerFunc(page)) }))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestBodies(t *testing.T) {
	tests := []struct {
		name   string
		fault  fault.Fault
		body   string
		length int64
		err    error
	}{
		{"half", fault.Half(), text[:10], 20, io.ErrUnexpectedEOF},
		{"cut", fault.Cut(3), text[:3], 20, io.ErrUnexpectedEOF},
		{"cut behind the end", fault.Cut(100), text, 20, nil},
		{"short", fault.Short(0), text[:10], 10, nil},
		{"short by one", fault.Short(19), text[:19], 19, nil},
		{"corrupt", fault.Corrupt(), text[:10] + "A" + text[11:], 20, nil},
		{"no length", fault.NoLength(), text, -1, nil},
		{"trickle", fault.Trickle(7, time.Microsecond), text, 20, nil},
		{"delay", fault.Delay(time.Microsecond), text, 20, nil},
	}
	for _, tt := range tests {
		for _, path := range []string{"/", "/chunked"} {
			t.Run(tt.name+path, func(t *testing.T) {
				got := fetch(t.Context(), http.MethodGet, serve(t, tt.fault)+path)
				want := tt.length
				if tt.name == "delay" && path == "/chunked" {
					want = got.length // it leaves the body alone, and net/http tells the length of short ones
				}
				if got.status != http.StatusAccepted || got.header.Get("X-Real") != "yes" {
					t.Errorf("%d %v", got.status, got.header)
				}
				if got.body != tt.body || got.length != want || !errors.Is(got.err, tt.err) {
					t.Errorf("%q of %d, %v, want %q of %d, %v", got.body, got.length, got.err, tt.body, want, tt.err)
				}
			})
		}
	}
}

// TestBodiesOfUnknownLength: a handler that flushes has its body sent as it comes, and no length is made up for it.
func TestBodiesOfUnknownLength(t *testing.T) {
	tests := map[string]struct {
		fault fault.Fault
		body  string
		err   error
	}{
		"half":      {fault.Half(), "", io.ErrUnexpectedEOF},
		"cut":       {fault.Cut(3), text[:3], io.ErrUnexpectedEOF},
		"short":     {fault.Short(19), text[:19], nil},
		"corrupt":   {fault.Corrupt(), "\x10" + text[1:], nil},
		"no length": {fault.NoLength(), text, nil},
		"trickle":   {fault.Trickle(7, time.Microsecond), text, nil},
	}
	for name, tt := range tests {
		got := fetch(t.Context(), http.MethodGet, serve(t, tt.fault)+"/flushed")
		if got.status != http.StatusAccepted || got.length != -1 || got.body != tt.body || !errors.Is(got.err, tt.err) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestResetAfterIsAReset(t *testing.T) {
	got := fetch(t.Context(), http.MethodGet, serve(t, fault.ResetAfter(5)))
	if !errors.Is(got.err, syscall.ECONNRESET) {
		t.Errorf("%+v", got)
	}
	rec := httptest.NewRecorder() // a connection that cannot be taken over is at least broken
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) || rec.Body.String() != text[:5] {
			t.Errorf("%v, %q", err, rec.Body)
		}
	}()
	fault.ResetAfter(5)(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), http.HandlerFunc(page))
}

func TestHeadsWithoutLength(t *testing.T) {
	got := fetch(t.Context(), http.MethodHead, serve(t, fault.NoLength()))
	if got.status != http.StatusAccepted || got.length >= 0 || got.err != nil {
		t.Errorf("%+v", got)
	}
	if got := fetch(t.Context(), http.MethodHead, serve(t, fault.Corrupt())); got.length != 20 || got.err != nil {
		t.Errorf("%+v", got)
	}
	if got := fetch(t.Context(), http.MethodHead, serve(t, fault.Reset())); got.err == nil {
		t.Errorf("%+v", got)
	}
}

func TestAnswersWithoutTheServer(t *testing.T) {
	got := fetch(t.Context(), http.MethodGet, serve(t, fault.RetryAfter(429, "7")))
	if got.status != 429 || got.header.Get("Retry-After") != "7" || got.body != "" {
		t.Errorf("%+v", got)
	}
	if got := fetch(t.Context(), http.MethodGet, serve(t, fault.Status(503))); got.status != 503 || got.header.Values("Retry-After") != nil {
		t.Errorf("%+v", got)
	}
	if got := fetch(t.Context(), http.MethodGet, serve(t, fault.Page())); got.status != 200 || !strings.Contains(got.body, "<html>") {
		t.Errorf("%+v", got)
	}
}

// TestSilenceLastsUntilTheClientLeaves also for the server: none of its goroutines stays, or Close would not return.
func TestSilenceLastsUntilTheClientLeaves(t *testing.T) {
	for name, f := range map[string]fault.Fault{"hang": fault.Hang(), "stall": fault.Stall(), "delay": fault.Delay(time.Hour), "trickle": fault.Trickle(1, time.Hour)} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{})
			url := serve(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				close(arrived)
				f(w, r, next)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-arrived
				cancel()
			}()
			if got := fetch(ctx, http.MethodGet, url); !errors.Is(got.err, context.Canceled) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// statuses asks a set several times.
func statuses(t *testing.T, s *fault.Set, times int, method, target string) []int {
	t.Helper()
	var all []int
	h := s.Wrap(http.HandlerFunc(page))
	for range times {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, target, nil))
		all = append(all, rec.Code)
	}
	return all
}

func TestRulesSayWhichRequestsMeetTheirFault(t *testing.T) {
	const real, bad = 202, 500
	tests := []struct {
		name           string
		rule           fault.Rule
		method, target string
		want           []int
	}{
		{"all", fault.Rule{}, "GET", "/x", []int{bad, bad, bad}},
		{"the first", fault.Rule{Count: 2}, "GET", "/x", []int{bad, bad, real}},
		{"the second", fault.Rule{Skip: 1, Count: 1}, "GET", "/x", []int{real, bad, real}},
		{"a route", fault.Rule{Route: "/file/blob/"}, "GET", "/api/v1/file/blob/12", []int{bad}},
		{"another route", fault.Rule{Route: "/file/blob/"}, "GET", "/api/v1/file/tree", []int{real}},
		{"a method", fault.Rule{Method: "HEAD"}, "HEAD", "/", []int{bad}},
		{"another method", fault.Rule{Method: "HEAD"}, "GET", "/", []int{real}},
		{"a directory", fault.Rule{Path: "/a/b c"}, "GET", "/tree?path=a%2Fb+c", []int{bad}},
		{"another directory", fault.Rule{Path: "/a"}, "GET", "/tree?path=/a/b", []int{real}},
		{"the root", fault.Rule{Path: "/"}, "GET", "/tree", []int{bad}},
		{"always", fault.Rule{Probability: 1}, "GET", "/", []int{bad, bad, bad}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s fault.Set
			tt.rule.Fault = fault.Status(bad)
			s.Add(tt.rule)
			if got := statuses(t, &s, len(tt.want), tt.method, tt.target); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

func TestChanceIsTheSameForTheSameSeed(t *testing.T) {
	var runs [2][]int
	for i := range runs {
		var s fault.Set
		s.Add(fault.Rule{Probability: 0.5, Seed: 7, Fault: fault.Status(500)})
		runs[i] = statuses(t, &s, 100, "GET", "/")
		if state := s.Rules()[0]; state.Matched != 100 || state.Met < 20 || state.Met > 80 {
			t.Errorf("%d of %d", state.Met, state.Matched)
		}
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Error("two runs differ")
	}
}

func TestRulesAreMetOneInsideTheOther(t *testing.T) {
	var s fault.Set
	s.Add(fault.Rule{Name: "late", Fault: fault.Delay(time.Microsecond)})
	s.Add(fault.Rule{Name: "busy", Count: 1, Fault: fault.Status(503)})
	s.Add(fault.Rule{Name: "short", Fault: fault.Short(1)})
	if got := statuses(t, &s, 2, "GET", "/"); !slices.Equal(got, []int{503, 202}) {
		t.Errorf("%v", got)
	}
	met := make(map[string]int64)
	for _, state := range s.Rules() {
		met[state.Name] = state.Met
	}
	if fmt.Sprint(met) != "map[busy:1 late:2 short:1]" {
		t.Errorf("%v", met)
	}
	if s.Remove("busy") != 1 || s.Remove("busy") != 0 || len(s.Rules()) != 2 {
		t.Error("a rule is removed by its name, once")
	}
	s.Clear()
	if got := statuses(t, &s, 1, "GET", "/"); len(s.Rules()) != 0 || got[0] != 202 {
		t.Errorf("%v", got)
	}
}

func TestRulesMayChangeWhileRequestsAreAnswered(t *testing.T) {
	var (
		s  fault.Set
		wg sync.WaitGroup
	)
	for i := range 4 {
		wg.Go(func() {
			for range 100 {
				name := strconv.Itoa(i)
				s.Add(fault.Rule{Name: name, Probability: 0.5, Fault: fault.Corrupt()})
				statuses(t, &s, 2, "GET", "/")
				s.Remove(name)
				s.Rules()
			}
		})
	}
	wg.Wait()
	if len(s.Rules()) != 0 {
		t.Errorf("%v", s.Rules())
	}
}
