package monoserver_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
)

func TestTheHeadMovesWhenTold(t *testing.T) {
	s, repo := newServer(t)
	first := repo.ID(t, "HEAD")
	repo.Write(t, "README.md", "second\n", 0o644)
	second := repo.Commit(t, "second")
	wantHead := func(want string) {
		t.Helper()
		if got := ask(t, s, http.MethodGet, "/api/v1/latest-commit?path=/").Body.String(); !strings.Contains(got, `"oid":"`+want+`"`) {
			t.Errorf("%s, want %s", got, want)
		}
		readme := repo.ID(t, want+":README.md").String()
		for _, target := range []string{"/api/v1/tree/content-hash", "/api/v1/tree/content-hash?refs=" + want} {
			if got := ask(t, s, http.MethodGet, target).Body.String(); !strings.Contains(got, readme) {
				t.Errorf("%s lists another commit than %s: %s", target, want, got)
			}
		}
		if got, want := ask(t, s, http.MethodGet, "/api/v1/file/tree").Body.String(), repo.Git(t, "cat-file", "tree", want+"^{tree}"); got != want {
			t.Errorf("the raw tree is another commit's")
		}
	}
	wantHead(second.String())
	for _, rev := range []string{"HEAD~1", first.String(), "v1"} {
		if c, err := s.SetHead(t.Context(), rev); err != nil || c.ID != first {
			t.Fatalf("%v, %v", c, err)
		}
		wantHead(first.String())
	}
	repo.Write(t, "README.md", "third\n", 0o644)
	third := repo.Commit(t, "third")
	wantHead(first.String())
	if _, err := s.SetHead(t.Context(), "nope"); !errors.Is(err, remote.ErrUnknownRev) {
		t.Errorf("an unknown revision: %v", err)
	}
	wantHead(first.String())
	if _, err := s.SetHead(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantHead(third.String())
}
