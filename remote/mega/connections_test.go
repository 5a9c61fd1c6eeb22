package mega_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// loadersAtOnce is how many requests of one engine may be under way.
const loadersAtOnce = 64

// mixed answers trees, small blobs and, now and then, an error, as a walk meets them.
func mixed(tree string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/v1/file/tree", serving(tree))
	var n atomic.Int64
	mux.HandleFunc("/api/v1/file/blob/", func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%10 == 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"req_result":false,"data":null,"err_message":"none"}`))
			return
		}
		origintest.Answer("application/octet-stream", "x")(w, r, nil)
	})
	return mux
}

// walkAtOnce asks for many small things from as many goroutines as there are loaders.
func walkAtOnce(t *testing.T, o *mega.Client, tree string) {
	t.Helper()
	ref := remote.TreeRef{Path: "x", ID: object.Sum(object.Tree, []byte(tree))}
	var wg sync.WaitGroup
	for range loadersAtOnce {
		wg.Go(func() {
			for range 20 {
				if _, err := o.Tree(t.Context(), ref); err != nil {
					t.Error(err)
				}
				_, _ = read(t.Context(), o, someID)
			}
		})
	}
	wg.Wait()
}

// TestConnectionsAreUsedAgain counts those that 64 loaders open for some thousand requests.
func TestConnectionsAreUsedAgain(t *testing.T) {
	tree := string(object.AppendTree(nil, []object.Entry{{Name: "f", Mode: object.ModeFile, ID: someID}}))
	var opened atomic.Int64
	srv := httptest.NewUnstartedServer(mixed(tree))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	o, err := mega.Open(mega.Config{BaseURL: srv.URL, Token: "with a token too", HedgeFloor: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	walkAtOnce(t, o, tree)
	walkAtOnce(t, o, tree)
	if n := opened.Load(); n > 2*loadersAtOnce {
		t.Errorf("%d connections for %d loaders and %d requests", n, loadersAtOnce, o.Counts().Requests)
	}
}

// TestHTTP2IsUsedOverTLS wants all loaders on one connection.
func TestHTTP2IsUsedOverTLS(t *testing.T) {
	tree := string(object.AppendTree(nil, []object.Entry{{Name: "f", Mode: object.ModeFile, ID: someID}}))
	var opened, older atomic.Int64
	h := mixed(tree)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			older.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	srv.StartTLS()
	defer srv.Close()
	transport := mega.NewTransport()
	transport.TLSClientConfig = &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	defer transport.CloseIdleConnections()
	o, err := mega.Open(mega.Config{BaseURL: srv.URL, Client: &http.Client{Transport: transport}, HedgeFloor: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	wantRead(t, o, "x") // one connection is there; the loaders that start at once would each open one
	walkAtOnce(t, o, tree)
	if older.Load() != 0 || opened.Load() != 1 {
		t.Errorf("%d requests by an older protocol, %d connections", older.Load(), opened.Load())
	}
}
