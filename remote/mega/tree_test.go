package mega_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

func TestRequestsOfAWalkDown(t *testing.T) {
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	o := dial(t, server)
	c := pin(t, o, "")
	if c.Root == nil {
		t.Error("pin read the root and did not hand it over")
	}
	if n := o.Counts().Requests; n != 4 {
		t.Errorf("pin took %d requests, want the head and the root, twice: %v", n, server.Counts())
	}
	for _, path := range []string{"dir", "dir/a", "dir/a/b"} {
		tree(t, o, repo, c, path)
	}
	if n := o.Counts().Requests; n != 7 {
		t.Errorf("three directories took %d requests, want one each: %v", n-4, server.Counts())
	}
}

// TestHeadMovesBetweenPinAndTree changes one directory in every way that a hint from the new head can be wrong about.
func TestHeadMovesBetweenPinAndTree(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*testing.T, *origintest.Repo) // the directory d, before the pin
		change  func(*testing.T, *origintest.Repo) // and after it
	}{
		{"the directory is gone", func(t *testing.T, r *origintest.Repo) {
			r.Write(t, "d/x", "x", 0o644)
			r.Write(t, "d/y", "y", 0o755)
			r.Symlink(t, "d/z", "x")
		}, func(t *testing.T, r *origintest.Repo) { r.Remove(t, "d") }},
		{"the directory became a file", func(t *testing.T, r *origintest.Repo) {
			r.Write(t, "d/x", "x", 0o644)
		}, func(t *testing.T, r *origintest.Repo) {
			r.Remove(t, "d")
			r.Write(t, "d", "now a file", 0o644)
		}},
		{"every mode changed", func(t *testing.T, r *origintest.Repo) {
			r.Write(t, "d/x", "x", 0o644)
			r.Write(t, "d/y", "y", 0o755)
		}, func(t *testing.T, r *origintest.Repo) {
			r.Write(t, "d/x", "x", 0o755)
			r.Write(t, "d/y", "y", 0o644)
		}},
		{"a file became a directory", func(t *testing.T, r *origintest.Repo) {
			r.Write(t, "d/x", "x", 0o755)
			r.Write(t, "d/x.a", "x", 0o644)
		}, func(t *testing.T, r *origintest.Repo) {
			r.Remove(t, "d/x")
			r.Write(t, "d/x/in", "x", 0o644)
		}},
		{"many executables that the head does not have", func(t *testing.T, r *origintest.Repo) {
			for i := range 20 {
				r.Write(t, fmt.Sprintf("d/run%d", i), fmt.Sprintf("#!/bin/sh\n# %d\n", i), 0o755)
			}
			r.Write(t, "d/readme", "text", 0o644)
			r.Symlink(t, "d/link", "readme")
		}, func(t *testing.T, r *origintest.Repo) { r.Remove(t, "d") }},
		{"a file in a large directory changed", func(t *testing.T, r *origintest.Repo) {
			for i := range 300 {
				mode := fs.FileMode(0o644)
				if i%3 == 0 {
					mode = 0o755
				}
				r.Write(t, fmt.Sprintf("d/f%d", i), "x", mode)
			}
		}, func(t *testing.T, r *origintest.Repo) { r.Write(t, "d/f7", "changed", 0o644) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo := origintest.NewRepo(t)
			tt.prepare(t, repo)
			repo.Commit(t, "before")
			o := dial(t, serve(t, repo))
			c := pin(t, o, "")
			old := repo.ID(t, "HEAD:d")
			tt.change(t, repo)
			repo.Commit(t, "after")
			got, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "d", ID: old})
			if err != nil {
				t.Fatal(err)
			}
			if got.Derived || object.Sum(object.Tree, got.Payload) != old {
				t.Errorf("the tree was not found again: derived %v", got.Derived)
			}
		})
	}
}

// TestTreeThatCannotBeProved has more unguessable modes than a search can try.
func TestTreeThatCannotBeProved(t *testing.T) {
	repo := origintest.NewRepo(t)
	for i := range 6 {
		repo.Symlink(t, fmt.Sprintf("d/link%d", i), fmt.Sprint("target", i))
		repo.Write(t, fmt.Sprintf("d/run%d", i), fmt.Sprintf("#!/bin/sh\n# %d\n", i), 0o755)
	}
	repo.Git(t, "add", "d")
	repo.Git(t, "update-index", "--add", "--cacheinfo", "160000,c0ffee00c0ffee00c0ffee00c0ffee00c0ffee01,d/module")
	repo.Git(t, "commit", "-q", "-m", "before")
	o := dial(t, serve(t, repo))
	c := pin(t, o, "")
	id := repo.ID(t, "HEAD:d")
	repo.Remove(t, "d")
	repo.Git(t, "rm", "-q", "-r", "--cached", "d")
	repo.Git(t, "commit", "-q", "-m", "after")

	got, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "d", ID: id})
	if err != nil || !got.Derived {
		t.Fatalf("derived %v, %v", got.Derived, err)
	}
	entries, err := object.ParseTree(got.Payload)
	if err != nil || len(entries) != 13 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		want := object.ModeFile // a symlink cannot be told from a file that holds its target
		switch {
		case strings.HasPrefix(e.Name, "run"):
			want = object.ModeExec
		case e.Name == "module":
			want = object.ModeGitlink
		}
		if e.Mode != want {
			t.Errorf("%s guessed as %o, want %o", e.Name, e.Mode, want)
		}
	}
	_, err = o.Tree(t.Context(), remote.TreeRef{Path: "bin", ID: id})
	wantError(t, err, remote.ErrMismatch, "/bin")
}

func TestPinOfACommitBeforeTheHead(t *testing.T) {
	repo := origintest.NewRepo(t)
	repo.Write(t, "configure", "#!/bin/sh\n", 0o755)
	old := repo.Commit(t, "with a script that the head does not have")
	want := repo.ID(t, "HEAD^{tree}")
	repo.Remove(t, "configure")
	repo.Write(t, "README.md", "changed", 0o644)
	repo.Commit(t, "head")
	if c := pin(t, dial(t, serve(t, repo)), old.String()); c.Tree != want || object.Sum(object.Tree, c.Root) != want {
		t.Errorf("root %s, want %s", c.Tree, want)
	}
}

// TestHeadMovesDuringPin commits each time that the root is asked for, a few times.
func TestHeadMovesDuringPin(t *testing.T) {
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	var mu sync.Mutex
	moves := 3
	o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.ServeHTTP(w, r)
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(r.URL.Path, rawRoute) && moves > 0 {
			moves--
			repo.Write(t, "README.md", fmt.Sprint("move ", moves), 0o644)
			repo.Commit(t, "moved")
		}
	}))
	c := pin(t, o, "")
	if c.ID != repo.ID(t, "HEAD") || c.Tree != repo.ID(t, "HEAD^{tree}") {
		t.Errorf("pinned %s with tree %s while the head moved", c.ID, c.Tree)
	}
}

// TestHeadMovesWithinALook has the two requests that are sent at the same time see different heads, either way round.
func TestHeadMovesWithinALook(t *testing.T) {
	for _, first := range []string{rawRoute, latestRoute} {
		t.Run(first+" before the move", func(t *testing.T) {
			repo := origintest.NewRepo(t)
			server := serve(t, repo)
			moved := make(chan struct{})
			var once sync.Once
			o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, first) {
					server.ServeHTTP(w, r)
					once.Do(func() {
						repo.Write(t, "README.md", "moved", 0o644)
						repo.Commit(t, "moved")
						close(moved)
					})
					return
				}
				<-moved
				server.ServeHTTP(w, r)
			}))
			c := pin(t, o, "")
			if c.ID != repo.ID(t, "HEAD") || c.Tree != repo.ID(t, "HEAD^{tree}") {
				t.Errorf("pinned %s with tree %s", c.ID, c.Tree)
			}
		})
	}
}

// TestPinsTakeTwoRoundTrips, and one once the head is known.
func TestPinsTakeTwoRoundTrips(t *testing.T) {
	const trip = 20 * time.Millisecond
	head := object.ID{1}
	tree := object.AppendTree(nil, []object.Entry{{Name: "f", Mode: object.ModeExec, ID: someID}})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(trip)
		answer := origintest.Answer("application/octet-stream", string(tree))
		if strings.Contains(r.URL.Path, latestRoute) {
			answer = origintest.Answer("application/json", `{"oid":"`+head.String()+`","date":"1"}`)
		}
		answer(w, r, nil)
	})
	for _, rev := range []string{"", head.String(), "tag"} {
		inBubble(t, h, func(t *testing.T, o *mega.Client) {
			near(t, "the first pin", took(func() { pin(t, o, rev) }), 2*trip, 2*trip)
			before := o.Counts().Requests
			for _, again := range []string{"", head.String(), "tag"} {
				near(t, "another one", took(func() {
					if c := pin(t, o, again); c.ID != head || c.Tree != object.Sum(object.Tree, tree) {
						t.Errorf("pinned %v", c)
					}
				}), trip, trip)
			}
			if n := o.Counts().Requests - before; n != 3 {
				t.Errorf("%d requests for three pins of what is known", n)
			}
			_, err := o.Pin(t.Context(), object.ID{2}.String())
			wantError(t, err, remote.ErrBadAnswer, "it named commit "+head.String())
		})
	}
}

func TestEmptyListsAreNotBelieved(t *testing.T) {
	const empty = `{"req_result":true,"data":[],"err_message":""}`
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	c := pin(t, dial(t, server), "")
	for name, listing := range map[string]string{
		"an empty list": empty, "null": `{"req_result":true,"data":null,"err_message":""}`, "no envelope": `{}`,
		"a refusal": `{"req_result":false,"data":[],"err_message":"no\nway"}`, "half of JSON": empty[:20], "garbage": "\x00",
		"a list of other things": `{"req_result":true,"data":["x"],"err_message":""}`,
		"a bad id":               item("x", "file", "123"), "a bad type": item("x", "symlink", c.ID.String()),
		"a name with a slash": item("a/b", "file", c.ID.String()), "an escaping name": item("..", "directory", c.ID.String()),
	} {
		t.Run(name, func(t *testing.T) {
			o := glitch(t, server, listing)
			_, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "dir", ID: repo.ID(t, "HEAD:dir")})
			wantError(t, err, remote.ErrBadAnswer, "dir")
		})
	}
	t.Run("a list that is empty for a moment", func(t *testing.T) {
		gone := origintest.Always(rawRoute, origintest.Answer("application/octet-stream", ""))
		for _, fault := range []origintest.Fault{origintest.Answer("application/json", empty), origintest.Answer("application/json", empty[:20])} {
			o := dial(t, origintest.Inject(origintest.Inject(server, gone), origintest.First(4, listingRoute, fault)))
			tree(t, o, repo, c, "bin")
		}
	})
	t.Run("an empty root", func(t *testing.T) {
		nothing := origintest.Answer("application/octet-stream", "")
		lists := origintest.Always(listingRoute, origintest.Answer("application/json", empty)) // the other route may say so, too
		o := dial(t, origintest.Inject(origintest.Inject(server, lists), origintest.Always(rawRoute, nothing)))
		_, err := o.Pin(t.Context(), "")
		wantError(t, err, remote.ErrBadAnswer, "empty root")
		o = dial(t, origintest.Inject(origintest.Inject(server, lists), origintest.First(2, rawRoute, nothing)))
		if got := pin(t, o, ""); got.Tree != c.Tree {
			t.Errorf("a root that was empty for a moment is %q", got.Root)
		}
	})
	t.Run("a root that is no tree", func(t *testing.T) {
		o := dial(t, origintest.Inject(server, origintest.Always(rawRoute, origintest.Answer("application/octet-stream", "hello"))))
		_, err := o.Pin(t.Context(), "")
		wantError(t, err, remote.ErrBadAnswer, "malformed")
	})
	t.Run("a damaged raw tree is rebuilt", func(t *testing.T) {
		o := dial(t, origintest.Inject(server, origintest.Always(rawRoute, origintest.Corrupt())))
		tree(t, o, repo, c, "bin")
	})
}

func TestBadHeads(t *testing.T) {
	server := serve(t, origintest.NewRepo(t))
	for name, answer := range map[string]string{"no id": `{}`, "a short id": `{"oid":"12","date":"1"}`, "garbage": "<", "a list": "[]"} {
		o := dial(t, origintest.Inject(server, origintest.Always(latestRoute, origintest.Answer("application/json", answer))))
		_, err := o.Pin(t.Context(), "")
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		wantError(t, err, remote.ErrBadAnswer, latestRoute)
	}
}

func TestDates(t *testing.T) {
	repo := origintest.NewRepo(t)
	server := serve(t, repo)
	for date, want := range map[string]int64{
		`"1700000000"`: 1_700_000_000, `1700000000`: 1_700_000_000, `"2023-11-14T22:13:20Z"`: 1_700_000_000, `"soon"`: 0, `null`: 0,
	} {
		answer := fmt.Sprintf(`{"oid":"%s","date":%s}`, repo.ID(t, "HEAD"), date)
		o := dial(t, origintest.Inject(server, origintest.Always(latestRoute, origintest.Answer("application/json; charset=utf-8", answer))))
		if c := pin(t, o, ""); c.Time.Unix() != want {
			t.Errorf("%s is %d, want %d", date, c.Time.Unix(), want)
		}
	}
}

func TestListingHasALimit(t *testing.T) {
	server := serve(t, origintest.NewRepo(t))
	for name, length := range map[string]string{"announced": "100000", "not announced": ""} {
		t.Run(name, func(t *testing.T) {
			flood := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.Header().Set("Content-Type", "application/octet-stream")
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				_, _ = w.Write(make([]byte, 100_000))
			}
			o := dial(t, origintest.Inject(server, origintest.Always(rawRoute, flood)), func(cfg *mega.Config) { cfg.MaxListing = 50_000 })
			_, err := o.Pin(t.Context(), "")
			wantError(t, err, remote.ErrBadAnswer, "more than 50000")
		})
	}
}

// glitch returns a client of a server whose raw trees are gone and whose listings are this.
func glitch(t *testing.T, server *monoserver.Server, listing string) *mega.Client {
	t.Helper()
	return dial(t, origintest.Inject(server, func(r *http.Request) origintest.Fault {
		switch {
		case strings.Contains(r.URL.Path, rawRoute):
			return origintest.Answer("application/octet-stream", "")
		case strings.Contains(r.URL.Path, listingRoute):
			return origintest.Answer("application/json", listing)
		default:
			return nil
		}
	}))
}

func item(name, contentType, oid string) string {
	return fmt.Sprintf(`{"req_result":true,"data":[{"name":%q,"content_type":%q,"oid":%q}],"err_message":""}`, name, contentType, oid)
}

func pin(t *testing.T, o remote.Origin, rev string) remote.Commit {
	t.Helper()
	c, err := o.Pin(t.Context(), rev)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tree asks for a directory of HEAD and wants it verified.
func tree(t *testing.T, o remote.Origin, repo *origintest.Repo, c remote.Commit, path string) {
	t.Helper()
	id := repo.ID(t, "HEAD:"+path)
	got, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: path, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if got.Derived || object.Sum(object.Tree, got.Payload) != id {
		t.Errorf("%s is not verified", path)
	}
}
