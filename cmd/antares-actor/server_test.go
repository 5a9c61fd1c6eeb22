package main_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// server is an HTTP origin in this process, which counts and can fail.
type server struct {
	URL string

	mono  *monoserver.Server
	mu    sync.Mutex // held to read and change what follows
	asked []string   // URLs, in the order of arrival
	pick  func(*http.Request) origintest.Fault
}

func newServer(t *testing.T, repo string) *server {
	t.Helper()
	r, err := gitrepo.Open(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	s := &server{mono: monoserver.New(r, nil)}
	counting := origintest.Inject(s.mono, func(r *http.Request) origintest.Fault {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.URL.String())
		if s.pick == nil {
			return nil
		}
		return s.pick(r)
	})
	srv := httptest.NewServer(counting)
	t.Cleanup(srv.Close)
	s.URL = srv.URL
	return s
}

// fail has requests meet the faults that pick picks; nil for none.
func (s *server) fail(pick func(*http.Request) origintest.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pick = pick
}

// take returns what was asked since it was last called.
func (s *server) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}
