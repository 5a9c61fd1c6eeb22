package mega_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// Parts of the URL paths that faults are put on.
const (
	latestRoute  = "/latest-commit"
	rawRoute     = "/file/tree"
	listingRoute = "/tree/content-hash"
	blobRoute    = "/file/blob/"
)

// operations returns one call of each kind, by the route that it meets first.
func operations(o remote.Origin, c remote.Commit, blob object.ID) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		latestRoute: func(ctx context.Context) error {
			_, err := o.Pin(ctx, "")
			return err
		},
		rawRoute: func(ctx context.Context) error {
			_, err := o.Tree(ctx, remote.TreeRef{Commit: c.ID, ID: c.Tree})
			return err
		},
		blobRoute: func(ctx context.Context) error {
			b, err := o.Blob(ctx, blob)
			if err != nil {
				return err
			}
			defer b.Close()
			_, err = io.Copy(io.Discard, b)
			return err
		},
	}
}

// TestFaults puts each fault on each route: the error has a kind, names the URL, and is one line.
func TestFaults(t *testing.T) {
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	c := pin(t, dial(t, server), "")
	tests := []struct {
		name  string
		fault origintest.Fault
		want  error
		says  string
	}{
		{"a server error", origintest.Status(500), remote.ErrUnavailable, "500 Internal Server Error"},
		{"an overloaded server", origintest.Status(503), remote.ErrUnavailable, "503 Service Unavailable"},
		{"too many requests", origintest.Status(429), remote.ErrUnavailable, "429 Too Many Requests"},
		{"not allowed", origintest.Status(403), remote.ErrBadAnswer, "403 Forbidden"},
		{"a proxy's 404", origintest.Status(404), remote.ErrBadAnswer, "404 Not Found"},
		{"nothing to say", origintest.Status(204), remote.ErrBadAnswer, "204 No Content"},
		{"HTML", origintest.Page(), remote.ErrBadAnswer, "text/html"},
		{"plain text", origintest.Answer("text/plain", "hello"), remote.ErrBadAnswer, "text/plain"},
		{"half a body", origintest.Half(), remote.ErrUnavailable, "unexpected EOF"},
		{"a broken connection", origintest.Reset(), remote.ErrUnavailable, "EOF"},
		{"no answer", origintest.Hang(), remote.ErrUnavailable, "no answer in time"},
		{"a stalled body", origintest.Stall(), remote.ErrUnavailable, "the body stalled"},
	}
	for _, tt := range tests {
		for route := range operations(nil, remote.Commit{}, object.ID{}) {
			t.Run(tt.name+" on "+route, func(t *testing.T) {
				faulty := origintest.Inject(server, origintest.Always(route, tt.fault))
				o := dial(t, faulty, impatient(tt.says))
				err := operations(o, c, repo.ID(t, "HEAD:large.bin"))[route](t.Context())
				wantError(t, err, tt.want, tt.says)
				wantError(t, err, tt.want, "mega: GET http://")
				wantError(t, err, tt.want, route)
			})
		}
	}
}

// impatient shortens the one timeout that a fault runs into; the others would make a slow machine's trouble look like it.
func impatient(says string) func(*mega.Config) {
	return func(cfg *mega.Config) {
		switch says {
		case "no answer in time":
			cfg.HeaderTimeout = 50 * time.Millisecond
		case "the body stalled":
			cfg.IdleTimeout = 50 * time.Millisecond
		}
	}
}

func TestTransientFaultsAreTriedAgain(t *testing.T) {
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	c := pin(t, dial(t, server), "")
	for _, fault := range []origintest.Fault{origintest.Status(503), origintest.Reset(), origintest.Status(429)} {
		for route := range operations(nil, remote.Commit{}, object.ID{}) {
			o := dial(t, origintest.Inject(server, origintest.First(2, route, fault)))
			if err := operations(o, c, repo.ID(t, "HEAD:README.md"))[route](t.Context()); err != nil {
				t.Errorf("%s: two faults and then none: %v", route, err)
			}
		}
	}
}

func TestHalfATreeIsTriedAgain(t *testing.T) {
	repo := origintest.NewRepo(t)
	o := dial(t, origintest.Inject(serve(t, repo), origintest.First(1, rawRoute, origintest.Half())))
	if _, err := o.Pin(t.Context(), ""); err != nil {
		t.Error(err)
	}
}

func TestLastingFaultsAreNotTriedAgain(t *testing.T) {
	repo := origintest.NewRepo(t)
	for name, fault := range map[string]origintest.Fault{"HTML": origintest.Page(), "403": origintest.Status(403)} {
		o := dial(t, origintest.Inject(serve(t, repo), origintest.Always(latestRoute, fault)))
		if _, err := o.Pin(t.Context(), ""); err == nil {
			t.Errorf("%s: no error", name)
		}
		if n := o.Counts().Requests; n != 2 {
			t.Errorf("%s: %d requests, want the head and, at the same time, its root", name, n)
		}
	}
	o := dial(t, serve(t, repo))
	_, err := o.Blob(t.Context(), object.Sum(object.Blob, []byte("nobody has this")))
	wantError(t, err, remote.ErrNotFound, "404 Not Found")
	if n := o.Counts().Requests; n != 1 {
		t.Errorf("a missing blob took %d requests", n)
	}
}

func TestHalfABlobIsAnUnexpectedEnd(t *testing.T) {
	repo := origintest.NewRepo(t)
	o := dial(t, origintest.Inject(serve(t, repo), origintest.Always(blobRoute, origintest.Half())))
	b, err := o.Blob(t.Context(), repo.ID(t, "HEAD:large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	n, err := io.Copy(io.Discard, b)
	wantError(t, err, io.ErrUnexpectedEOF, blobRoute)
	wantError(t, err, remote.ErrUnavailable, blobRoute)
	if n != origintest.LargeSize/2 || b.Size != origintest.LargeSize {
		t.Errorf("%d bytes of %d", n, b.Size)
	}
}

// TestSlowReadersAreNoStall: only the server's silence counts, not its client's.
func TestSlowReadersAreNoStall(t *testing.T) {
	inBubble(t, serving(streamed), func(t *testing.T, o *mega.Client) {
		b, err := o.Blob(t.Context(), idOf(streamed))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		time.Sleep(time.Hour) // between two reads
		if got, err := io.ReadAll(b); err != nil || string(got) != streamed || o.Counts().Requests != 1 {
			t.Errorf("%d bytes after %d requests, %v", len(got), o.Counts().Requests, err)
		}
	})
}

func TestNoServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // nobody listens there now
	o, err := mega.Open(mega.Config{BaseURL: "http://" + ln.Addr().String(), Backoff: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	_, err = o.Pin(t.Context(), "")
	wantError(t, err, remote.ErrUnavailable, "connection refused")
	if n := strings.Count(err.Error(), ln.Addr().String()); n > 2 {
		t.Errorf("the address is repeated %d times: %v", n, err)
	}
}

func TestCancelWhileWaitingToTryAgain(t *testing.T) {
	repo := origintest.NewRepo(t)
	ctx, cancel := context.WithCancel(t.Context())
	fault := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusTooManyRequests)
		time.AfterFunc(10*time.Millisecond, cancel)
	}
	o := dial(t, origintest.Inject(serve(t, repo), origintest.Always(latestRoute, fault)))
	_, err := o.Pin(ctx, "")
	if !errors.Is(err, context.Canceled) || o.Counts().Requests > 2 {
		t.Errorf("%v after %d requests", err, o.Counts().Requests)
	}
}

func TestTokenIsSent(t *testing.T) {
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	var with atomic.Int64
	o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer secret" {
			with.Add(1)
		}
		server.ServeHTTP(w, r)
	}), func(cfg *mega.Config) { cfg.Token = "secret" })
	if _, err := o.Pin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if uint64(with.Load()) != o.Counts().Requests {
		t.Errorf("%d of %d requests had the token", with.Load(), o.Counts().Requests)
	}
}

func TestAPasswordComesIntoNoLogOrError(t *testing.T) {
	var log bytes.Buffer
	repo := origintest.NewRepo(t)
	o := dial(t, origintest.Inject(serve(t, repo), origintest.Always("/file/blob/", origintest.Status(502))), func(cfg *mega.Config) {
		cfg.BaseURL = strings.Replace(cfg.BaseURL, "http://", "http://user:secret@", 1)
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if _, err := o.Pin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Blob(t.Context(), someID); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
	if log.Len() == 0 || strings.Contains(log.String(), "secret") {
		t.Errorf("logged %s", log.String())
	}
}

func TestOpenRefusesWhatIsNoAddress(t *testing.T) {
	for _, base := range []string{"", "host:8000", "ftp://host", "http://", "http://host/?x=1", "http://host/#x", "http://ho st/", "git:."} {
		if o, err := mega.Open(mega.Config{BaseURL: base}); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, %v", base, o, err)
		}
	}
	o, err := mega.Open(mega.Config{BaseURL: "https://user:pass@host:8000/mega/"})
	if err != nil || o.String() != "https://host:8000/mega" {
		t.Errorf("%v, %v", o, err)
	}
}

func wantError(t *testing.T, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want %v saying %q in one line", err, kind, says)
	}
}
