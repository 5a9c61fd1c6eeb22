package monoserver_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// changed makes the spec's example as a commit: one file modified, one renamed, one deleted; and one new.
func changed(t *testing.T, repo *origintest.Repo) (base, now string) {
	t.Helper()
	text := strings.Repeat("a line of some length\n", 100)
	repo.Write(t, "project/src/a.rs", "a\n", 0o644)
	repo.Write(t, "project/src/old.rs", text, 0o644)
	repo.Write(t, "project/docs/x.md", "x\n", 0o644)
	base = repo.Commit(t, "base").String()
	repo.Write(t, "project/src/a.rs", "b\n", 0o644)
	repo.Git(t, "mv", "project/src/old.rs", "project/src/new.rs")
	repo.Write(t, "project/src/new.rs", text+"and more\n", 0o755)
	repo.Remove(t, "project/docs/x.md")
	repo.Write(t, "project/tool", "#!/bin/sh\n", 0o755)
	repo.Write(t, "README.md", "changed\n", 0o644)
	return base, repo.Commit(t, "change").String()
}

// wantFiles compares an answer with its items, which come in no order.
func wantFiles(t *testing.T, s http.Handler, link string, want ...string) {
	t.Helper()
	got := ask(t, s, http.MethodGet, "/api/v1/cl/"+link+"/files-list")
	body, ok := strings.CutPrefix(got.Body.String(), `{"req_result":true,"data":[`)
	body, ok2 := strings.CutSuffix(body, `],"err_message":""}`+"\n")
	if got.Code != http.StatusOK || !ok || !ok2 || got.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %d %s", link, got.Code, got.Body)
	}
	items := strings.Split(strings.ReplaceAll(body, "},{", "}\x00{"), "\x00")
	if body == "" {
		items = nil
	}
	slices.Sort(items)
	slices.Sort(want)
	if !slices.Equal(items, want) {
		t.Errorf("%s:\n got %s\nwant %s", link, strings.Join(items, "\n     "), strings.Join(want, "\n     "))
	}
}

// spec returns the items that changed's commit is to give, below a directory.
func spec(t *testing.T, repo *origintest.Repo, base, now, prefix string) []string {
	t.Helper()
	return []string{
		fmt.Sprintf(`{"path":"%ssrc/a.rs","sha":"%s","action":"modified"}`, prefix, repo.ID(t, now+":project/src/a.rs")),
		fmt.Sprintf(`{"path":"%ssrc/new.rs","sha":"%s","action":"renamed","old_path":"%ssrc/old.rs","similarity":99}`,
			prefix, repo.ID(t, now+":project/src/new.rs"), prefix),
		fmt.Sprintf(`{"path":"%sdocs/x.md","sha":"%s","action":"deleted"}`, prefix, repo.ID(t, base+":project/docs/x.md")),
		fmt.Sprintf(`{"path":"%stool","sha":"%s","action":"new"}`, prefix, repo.ID(t, now+":project/tool")),
	}
}

func add(t *testing.T, s *monoserver.Server, cl monoserver.Changelist) {
	t.Helper()
	if err := s.AddChangelist(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
}

func TestChangelists(t *testing.T) {
	s, repo := newServer(t)
	first := repo.ID(t, "HEAD").String()
	base, now := changed(t, repo)
	patch := repo.Git(t, "diff", "--binary", base, now)
	readme := fmt.Sprintf(`{"path":"README.md","sha":"%s","action":"modified"}`, repo.ID(t, now+":README.md"))
	whole := append(spec(t, repo, base, now, "project/"), readme)
	for _, cl := range []monoserver.Changelist{
		{Link: "COMMIT", Rev: now},
		{Link: "RANGE", Rev: base + ".." + now},
		{Link: "PATCH", Base: base, Patch: patch},
	} {
		add(t, s, cl)
		wantFiles(t, s, cl.Link, whole...)
		cl.Path = "project"
		add(t, s, cl)
		wantFiles(t, s, cl.Link, spec(t, repo, base, now, "")...)
	}
	t.Run("of the first commit has all its files as new", func(t *testing.T) {
		add(t, s, monoserver.Changelist{Link: "FIRST", Rev: first, Path: "bin"})
		wantFiles(t, s, "FIRST",
			fmt.Sprintf(`{"path":"run.sh","sha":"%s","action":"new"}`, repo.ID(t, first+":bin/run.sh")),
			fmt.Sprintf(`{"path":"tool","sha":"%s","action":"new"}`, repo.ID(t, first+":bin/tool")))
	})
	t.Run("on a directory that both commits lack has nothing", func(t *testing.T) {
		add(t, s, monoserver.Changelist{Link: "NOWHERE", Rev: now, Path: "/nowhere/at/all/"})
		wantFiles(t, s, "NOWHERE")
	})
	t.Run("stays what it was when the head moves", func(t *testing.T) {
		repo.Write(t, "README.md", "third\n", 0o644)
		repo.Commit(t, "third")
		wantFiles(t, s, "COMMIT", spec(t, repo, base, now, "")...)
	})
	t.Run("may have ids with a prefix", func(t *testing.T) {
		s.SetQuirks(monoserver.Quirks{SHA1Prefix: true})
		defer s.SetQuirks(monoserver.Quirks{})
		add(t, s, monoserver.Changelist{Link: "PREFIX", Rev: now, Path: "project/docs"})
		wantFiles(t, s, "PREFIX", fmt.Sprintf(`{"path":"x.md","sha":"sha1:%s","action":"deleted"}`, repo.ID(t, base+":project/docs/x.md")))
	})
	t.Run("is not found once removed", func(t *testing.T) {
		if !s.RemoveChangelist("COMMIT") || s.RemoveChangelist("COMMIT") {
			t.Error("it is removed once")
		}
		if got := ask(t, s, http.MethodGet, "/api/v1/cl/COMMIT/files-list"); got.Code != http.StatusNotFound {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
}

// TestEachBlobOfAPatchIsServed though the repository has none of them.
func TestEachBlobOfAPatchIsServed(t *testing.T) {
	s, repo := newServer(t)
	patch := "--- a/README.md\n+++ b/README.md\n@@ -1 +1,2 @@\n # corpus\n+more\n" +
		"--- /dev/null\n+++ b/new/file\n@@ -0,0 +1 @@\n+nobody has this\n" +
		"--- a/foo.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-2\n"
	add(t, s, monoserver.Changelist{Link: "PATCH", Patch: patch})
	var answer struct {
		Data []struct{ Path, SHA, Action string }
	}
	if err := json.Unmarshal(ask(t, s, http.MethodGet, "/api/v1/cl/PATCH/files-list").Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"README.md": "# corpus\nmore\n", "new/file": "nobody has this\n", "foo.txt": "2\n"}
	if len(answer.Data) != len(want) {
		t.Errorf("%v", answer.Data)
	}
	for _, f := range answer.Data {
		got := ask(t, s, http.MethodGet, "/api/v1/file/blob/"+f.SHA)
		if got.Code != http.StatusOK || got.Body.String() != want[f.Path] || got.Header().Get("Content-Length") != fmt.Sprint(len(want[f.Path])) {
			t.Errorf("%s: %d %q %v", f.Path, got.Code, got.Body, got.Header())
		}
	}
	if _, err := openRepo(t, repo).Blob(t.Context(), repo.ID(t, "HEAD:README.md")); err != nil {
		t.Error(err)
	}
	s.RemoveChangelist("PATCH")
	for _, f := range answer.Data {
		got := ask(t, s, http.MethodHead, "/api/v1/file/blob/"+f.SHA).Code
		if wanted := map[bool]int{true: 200, false: 404}[f.Action == "deleted"]; got != wanted {
			t.Errorf("%s once its changelist is gone: %d", f.Path, got)
		}
	}
}

func TestBadChangelistsAreRefused(t *testing.T) {
	s, _ := newServer(t)
	for name, tt := range map[string]struct {
		cl   monoserver.Changelist
		want error
	}{
		"no link":         {monoserver.Changelist{Rev: "HEAD"}, monoserver.ErrBadChangelist},
		"a path for link": {monoserver.Changelist{Link: "a/b", Rev: "HEAD"}, monoserver.ErrBadChangelist},
		"nothing":         {monoserver.Changelist{Link: "A"}, monoserver.ErrBadChangelist},
		"two things":      {monoserver.Changelist{Link: "A", Rev: "HEAD", Patch: "x"}, monoserver.ErrBadChangelist},
		"unknown commit":  {monoserver.Changelist{Link: "A", Rev: "nope"}, remote.ErrUnknownRev},
		"unknown base":    {monoserver.Changelist{Link: "A", Rev: "nope..HEAD"}, remote.ErrUnknownRev},
		"a bad patch":     {monoserver.Changelist{Link: "A", Patch: "hello"}, gitrepo.ErrBadPatch},
	} {
		if err := s.AddChangelist(t.Context(), tt.cl); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := ask(t, s, http.MethodGet, "/api/v1/cl/A/files-list"); got.Code != http.StatusNotFound {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}
