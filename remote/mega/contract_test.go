package mega_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

func TestContract(t *testing.T) {
	origintest.Run(t, func(t *testing.T) origintest.Fixture {
		repo := origintest.NewRepo(t)
		return origintest.Fixture{Repo: repo, Origin: dial(t, serve(t, repo))}
	})
}

// serve returns Mega's API over a repository.
func serve(t *testing.T, repo *origintest.Repo) *monoserver.Server {
	t.Helper()
	r, err := gitrepo.Open(t.Context(), repo.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	s := monoserver.New(r, slog.New(slog.DiscardHandler))
	s.ServeLFS(filepath.Join(r.CommonDir(), "lfs", "objects"))
	return s
}

// dial returns a client of h that loses no time between tries.
func dial(t *testing.T, h http.Handler, change ...func(*mega.Config)) *mega.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg := mega.Config{BaseURL: srv.URL, Backoff: time.Millisecond}
	for _, f := range change {
		f(&cfg)
	}
	c, err := mega.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
