package mega_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// lfsServer answers the batch API as Mega does, with actions of this form, and serves the bytes under /store/.
func lfsServer(t *testing.T, content string, action func(*http.Request, string) string) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mono/objects/batch", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Operation string
			Transfers []string
			Objects   []struct {
				OID  string
				Size int64
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Operation != "download" || len(q.Objects) != 1 || q.Transfers[0] != "basic" {
			t.Errorf("asked %+v, %v", q, err)
		}
		for _, name := range []string{"Accept", "Content-Type"} {
			if got := r.Header.Get(name); got != "application/vnd.git-lfs+json" {
				t.Errorf("%s: %s", name, got)
			}
		}
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		fmt.Fprintf(w, `{"transfer":"basic","objects":[{"oid":%q,"size":%d,"authenticated":true,%s}]}`,
			q.Objects[0].OID, q.Objects[0].Size, action(r, q.Objects[0].OID))
	})
	mux.HandleFunc("GET /store/{oid}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte(content))
	})
	return mux
}

// here sends downloads to the server that was asked.
func here(r *http.Request, oid string) string {
	return fmt.Sprintf(`"actions":{"download":{"href":"http://%s/store/%s","header":{"X-Pass":"let me in"}}}`, r.Host, oid)
}

func below(path string) func(*mega.Config) {
	return func(cfg *mega.Config) { cfg.BaseURL += path }
}

func TestLargeFile(t *testing.T) {
	content := strings.Repeat("large ", 100_000)
	var pass atomic.Value
	server := lfsServer(t, content, here)
	o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			pass.Store(r.Header.Get("X-Pass"))
		}
		server.ServeHTTP(w, r)
	}), below("/mono/"))
	b, err := o.LargeFile(t.Context(), sha256.Sum256([]byte(content)), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(b)
	if err != nil || string(got) != content || b.Size != int64(len(content)) {
		t.Errorf("%d bytes of %d, %v", len(got), b.Size, err)
	}
	if pass.Load() != "let me in" {
		t.Errorf("the action's header is %q", pass.Load())
	}
}

// TestTokenStaysWithTheServer sends a download elsewhere, by the batch answer and by a redirect.
func TestTokenStaysWithTheServer(t *testing.T) {
	var leaked atomic.Value
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.Header.Get("Authorization"); token != "" {
			leaked.Store(token)
		}
		origintest.Answer("application/octet-stream", "content")(w, r, nil)
	}))
	defer elsewhere.Close()
	server := lfsServer(t, "", func(_ *http.Request, oid string) string {
		return fmt.Sprintf(`"actions":{"download":{"href":"%s/%s"}}`, elsewhere.URL, oid)
	})
	var batches atomic.Int64
	o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%s without the token", r.URL)
		}
		if r.Method == http.MethodGet {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			return
		}
		batches.Add(1)
		server.ServeHTTP(w, r)
	}), below("/mono"), func(cfg *mega.Config) { cfg.Token = "secret" })
	for name, open := range map[string]func() (remote.Blob, error){
		"another host": func() (remote.Blob, error) { return o.LargeFile(t.Context(), sha256.Sum256([]byte("content")), 7) },
		"a redirect":   func() (remote.Blob, error) { return o.Blob(t.Context(), idOf("content")) },
	} {
		b, err := open()
		if err != nil {
			t.Fatal(name, err)
		}
		if got, err := io.ReadAll(b); string(got) != "content" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		b.Close()
	}
	if leaked.Load() != nil || batches.Load() != 1 {
		t.Errorf("another host was told %v", leaked.Load())
	}
}

func TestBadLargeFiles(t *testing.T) {
	sum := sha256.Sum256([]byte("content"))
	oid := hex.EncodeToString(sum[:])
	object := func(more string) string {
		return fmt.Sprintf(`{"objects":[{"oid":%q,"size":7,%s}]}`, oid, more)
	}
	tests := map[string]struct {
		answer string
		want   error
		says   string
	}{
		"missing":             {object(`"error":{"code":404,"message":"no such object"}`), remote.ErrNotFound, "no such object"},
		"gone":                {object(`"error":{"code":410,"message":"removed"}`), remote.ErrNotFound, "410"},
		"refused":             {object(`"error":{"code":422,"message":"bad"}`), remote.ErrBadAnswer, "422"},
		"in trouble":          {object(`"error":{"code":503,"message":"later"}`), remote.ErrUnavailable, "503"},
		"no action":           {object(`"actions":{}`), remote.ErrBadAnswer, "no address"},
		"no actions":          {object(`"authenticated":true`), remote.ErrBadAnswer, "no address"},
		"a file":              {object(`"actions":{"download":{"href":"file:///etc/passwd"}}`), remote.ErrBadAnswer, "file:///etc/passwd"},
		"another size":        {`{"objects":[{"oid":"` + oid + `","size":8,"actions":{"download":{"href":"http://h/"}}}]}`, remote.ErrBadAnswer, "8 bytes"},
		"another object":      {`{"objects":[{"oid":"12","size":7}]}`, remote.ErrBadAnswer, "nothing about"},
		"nothing":             {`{}`, remote.ErrBadAnswer, "nothing about"},
		"another transfer":    {`{"transfer":"tus","objects":[]}`, remote.ErrBadAnswer, `"tus"`},
		"no JSON":             {`<`, remote.ErrBadAnswer, "no JSON"},
		"an address like %zz": {object(`"actions":{"download":{"href":"http://h/%zz"}}`), remote.ErrBadAnswer, "no address"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := answering(t, "application/vnd.git-lfs+json", tt.answer)
			_, err := o.LargeFile(t.Context(), sum, 7)
			wantError(t, err, tt.want, tt.says)
			wantError(t, err, tt.want, "mega: POST http://")
		})
	}
	t.Run("a page", func(t *testing.T) {
		_, err := answering(t, "text/html", "<html>").LargeFile(t.Context(), sum, 7)
		wantError(t, err, remote.ErrBadAnswer, "text/html")
	})
	t.Run("Mega does not know it", func(t *testing.T) {
		o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"message":"Not found"}`))
		}))
		_, err := o.LargeFile(t.Context(), sum, 7)
		wantError(t, err, remote.ErrNotFound, "Not found")
	})
	t.Run("a body of another length", func(t *testing.T) {
		o := dial(t, lfsServer(t, "<html>sign in</html>", here), below("/mono"))
		_, err := o.LargeFile(t.Context(), sum, 7)
		wantError(t, err, remote.ErrBadAnswer, "20 bytes where the pointer says 7")
	})
}

// TestLargeFilesAreResumed breaks the download, whose address is good for one use only.
func TestLargeFilesAreResumed(t *testing.T) {
	content := strings.Repeat("0123456789", 10_000)
	var uses atomic.Int64
	server := lfsServer(t, content, func(r *http.Request, _ string) string {
		return fmt.Sprintf(`"actions":{"download":{"href":"http://%s/store/%d"}}`, r.Host, uses.Add(1))
	})
	seen := make(map[string]bool)
	o := dial(t, origintest.Inject(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && seen[r.URL.Path] {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		server.ServeHTTP(w, r)
		seen[r.URL.Path] = true
	}), origintest.First(1, "/store/", origintest.Half())), below("/mono"))
	b, err := o.LargeFile(t.Context(), sha256.Sum256([]byte(content)), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := io.ReadAll(b); string(got) != content || err != nil || uses.Load() != 2 {
		t.Errorf("%d bytes after %d addresses, %v", len(got), uses.Load(), err)
	}
}
