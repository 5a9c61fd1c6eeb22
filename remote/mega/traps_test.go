package mega_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// importing is a Mega server on which what lies below /third-party ignores refs, and where a ' there breaks the query.
func importing(server *monoserver.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if path := q.Get("path"); strings.HasPrefix(path, "/third-party/") {
			if strings.Contains(path, "'") {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(`{"req_result":false,"data":null,"err_message":"Internal server error"}`))
				return
			}
			q.Del("refs")
			r.URL.RawQuery = q.Encode()
		}
		server.ServeHTTP(w, r)
	})
}

// TestImportedRepositoriesIgnoreTheCommit: a directory that the server no longer has at the commit is shown as derived,
// whole, from one commit; what is unchanged is still proved.
func TestImportedRepositoriesIgnoreTheCommit(t *testing.T) {
	repo := origintest.NewRepo(t)
	repo.Write(t, "third-party/lib/main.c", "old\n", 0o644)
	repo.Write(t, "third-party/lib/gone", "old\n", 0o644)
	repo.Write(t, "third-party/lib/same/run", "#!/bin/sh\n", 0o755)
	repo.Write(t, "third-party/it's/x", "x", 0o644)
	repo.Commit(t, "imported")
	o := dial(t, importing(serve(t, repo)))
	c := pin(t, o, "")
	lib, same := repo.ID(t, "HEAD:third-party/lib"), repo.ID(t, "HEAD:third-party/lib/same")

	repo.Write(t, "third-party/lib/main.c", "new\n", 0o644)
	repo.Write(t, "third-party/lib/configure", "#!/bin/sh\n", 0o755)
	repo.Remove(t, "third-party/lib/gone")
	repo.Commit(t, "imported again")
	got, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "third-party/lib", ID: lib})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Derived || object.Sum(object.Tree, got.Payload) != repo.ID(t, "HEAD:third-party/lib") {
		t.Errorf("derived %v, or not the tree that the server has now", got.Derived)
	}
	got, err = o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "third-party/lib/same", ID: same})
	if err != nil || got.Derived {
		t.Errorf("what did not change is derived %v, %v", got.Derived, err)
	}

	repo.Remove(t, "third-party/lib")
	repo.Commit(t, "removed")
	_, err = o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "third-party/lib", ID: lib})
	wantError(t, err, remote.ErrBadAnswer, "an empty list for a directory that is not empty")

	_, err = o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "third-party/it's", ID: repo.ID(t, "HEAD:third-party/it's")})
	wantError(t, err, remote.ErrUnavailable, "500 Internal Server Error")
}

// TestWhatIsAskedOfAServer: only GET of these routes, the commit named wherever the route knows one, nothing that Mega
// answers wrongly for the root.
func TestWhatIsAskedOfAServer(t *testing.T) {
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	var mu sync.Mutex
	asked := make(map[string]bool)
	var c remote.Commit
	o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v1")[:6]] = true
		mu.Unlock()
		if strings.Contains(r.URL.Path, listingRoute) && r.URL.Query().Get("refs") != c.ID.String() {
			t.Errorf("%s is not asked at the commit", r.URL)
		}
		if r.Header.Get("Range") != "" {
			t.Error("a range, which the server does not know")
		}
		server.ServeHTTP(w, r)
	}))
	c = pin(t, o, "")
	old := repo.ID(t, "HEAD:bin")
	tree(t, o, repo, c, "bin")
	repo.Write(t, "bin/more", "more", 0o644)
	repo.Commit(t, "moved")
	if _, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "bin", ID: old}); err != nil {
		t.Error(err)
	}
	if _, err := read(t.Context(), o, repo.ID(t, "HEAD:README.md")); err != nil {
		t.Error(err)
	}
	want := map[string]bool{"GET /lates": true, "GET /file/": true, "GET /tree/": true}
	if fmt.Sprint(asked) != fmt.Sprint(want) || server.Counts()["/api/v1/tree/dir-hash"] != 0 {
		t.Errorf("asked %v; %v", asked, server.Counts())
	}
}

// TestNamesAreEscaped wants the very path back from a server that reads the query as Mega does.
func TestNamesAreEscaped(t *testing.T) {
	var raw string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw = r.URL.RawQuery
		origintest.Answer("application/octet-stream", "")(w, r, nil)
	})
	o := dial(t, h)
	for _, path := range []string{
		"a+b", "a&path=/etc", "50%", "%2e%2e", "q?", "h#", "it's", "two words", "grüße/日本", "a;b", "a=b", "not-utf8-\xff", "new\nline", "~._-",
	} {
		_, _ = o.Tree(t.Context(), remote.TreeRef{Path: path, ID: someID})
		q, err := url.ParseQuery(raw)
		if err != nil || len(q) != 1 || len(q["path"]) != 1 || q.Get("path") != "/"+path || strings.ContainsAny(raw, "+ #'") {
			t.Errorf("%q is asked for as %s", path, raw)
		}
	}
}

// TestSHA256IsRefusedByName: such a server is possible, and an id cut to 40 digits would be another object.
func TestSHA256IsRefusedByName(t *testing.T) {
	server := serve(t, origintest.NewRepo(t))
	long := strings.Repeat("0123456789abcdef", 4)
	const says = "only those of SHA-1 can be read"
	o := glitch(t, server, item("x", "file", long))
	c := pin(t, dial(t, server), "")
	_, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "dir", ID: someID})
	wantError(t, err, remote.ErrBadAnswer, says)
	head := origintest.Answer("application/json", `{"oid":"`+long+`","date":"1"}`)
	_, err = dial(t, origintest.Inject(server, origintest.Always(latestRoute, head))).Pin(t.Context(), "")
	wantError(t, err, remote.ErrBadAnswer, says)
	_, err = dial(t, server).Pin(t.Context(), long)
	wantError(t, err, remote.ErrUnknownRev, "40 hex digits")
}

// TestPrefixedIDs: some routes write sha1: before an id.
func TestPrefixedIDs(t *testing.T) {
	repo := origintest.NewRepo(t)
	repo.Write(t, "d/x", "x", 0o644)
	repo.Commit(t, "d")
	server := serve(t, repo)
	o := glitch(t, server, item("x", "file", "sha1:"+repo.ID(t, "HEAD:d/x").String()))
	got, err := o.Tree(t.Context(), remote.TreeRef{Commit: repo.ID(t, "HEAD"), Path: "d", ID: repo.ID(t, "HEAD:d")})
	if err != nil || got.Derived {
		t.Errorf("derived %v, %v", got.Derived, err)
	}
	head := origintest.Answer("application/json", `{"oid":"sha1:`+repo.ID(t, "HEAD").String()+`","date":"1"}`)
	if c := pin(t, dial(t, origintest.Inject(server, origintest.Always(latestRoute, head))), ""); c.ID != repo.ID(t, "HEAD") {
		t.Errorf("the head is %s", c.ID)
	}
}

// TestEverythingIsAFileToAListing: symbolic links, executables and submodules get their modes back by the hash.
func TestEverythingIsAFileToAListing(t *testing.T) {
	repo := origintest.NewRepo(t)
	c := pin(t, dial(t, serve(t, repo)), "")
	gone := origintest.Always(rawRoute, origintest.Answer("application/octet-stream", "")) // only listings are left
	o := dial(t, origintest.Inject(serve(t, repo), gone))
	for _, path := range []string{"bin", "dir/a", "dir"} {
		tree(t, o, repo, c, path)
	}
}

// TestADamagedListingThatIsStillOneIsNotBelieved: a letter of a name, or of a type, changed on the way.
func TestADamagedListingThatIsStillOneIsNotBelieved(t *testing.T) {
	repo := origintest.NewRepo(t)
	old := pin(t, dial(t, serve(t, repo)), "")
	repo.Write(t, "bin/more", "more", 0o644)
	moved := repo.Commit(t, "moved")
	gone := origintest.Always(rawRoute, origintest.Answer("application/octet-stream", "")) // only listings are left
	for _, damaged := range []string{item("ruN.sh", "file", someID.String()), item("run.sh", "fiLe", someID.String())} {
		once := origintest.First(1, listingRoute, origintest.Answer("application/json", damaged))
		tree(t, dial(t, origintest.Inject(origintest.Inject(serve(t, repo), gone), once)), repo, remote.Commit{ID: moved}, "bin")

		want := pin(t, dial(t, serve(t, repo)), old.ID.String())
		once = origintest.First(1, listingRoute, origintest.Answer("application/json", damaged))
		if got := pin(t, dial(t, origintest.Inject(serve(t, repo), once)), old.ID.String()); got.Tree != want.Tree {
			t.Errorf("the root of an older commit is %q, want %q", got.Root, want.Root)
		}
	}

	var mu sync.Mutex
	n := 0
	o := dial(t, origintest.Inject(serve(t, repo), func(r *http.Request) origintest.Fault {
		if !strings.Contains(r.URL.Path, listingRoute) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return origintest.Answer("application/json", item(fmt.Sprint("x", n), "file", someID.String()))
	}))
	_, err := o.Tree(t.Context(), remote.TreeRef{Commit: moved, Path: "bin", ID: someID})
	wantError(t, err, remote.ErrBadAnswer, "another one each time")
	_, err = o.Pin(t.Context(), old.ID.String())
	wantError(t, err, remote.ErrBadAnswer, "another one each time")
}
