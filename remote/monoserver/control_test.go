package monoserver_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// tell sends a body to a control route.
func tell(t *testing.T, h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, "/_test/"+path, strings.NewReader(body)))
	return rec
}

func TestControlDoesWhatTheMethodsDo(t *testing.T) {
	s, repo := newServer(t)
	first := repo.ID(t, "HEAD").String()
	repo.Write(t, "README.md", "# corpus\nmore\n", 0o644)
	second := repo.Commit(t, "second").String()
	patch, err := json.Marshal(repo.Git(t, "diff", first, second))
	if err != nil {
		t.Fatal(err)
	}
	h := s.Control()
	const ok = `{"ok":true}`
	for _, step := range []struct {
		method, path, body string
		code               int
		has                string
	}{
		{"GET", "head", "", 200, second},
		{"PUT", "head", `{"rev":"v1"}`, 200, first},
		{"GET", "head", "", 200, first},
		{"PUT", "cl/RANGE", `{"rev":"v1..` + second + `"}`, 200, ok},
		{"GET", "../api/v1/cl/RANGE/files-list", "", 200, `"path":"README.md"`},
		{"PUT", "cl/PATCH", `{"patch":` + string(patch) + `,"path":"dir"}`, 200, ok},
		{"GET", "../api/v1/cl/PATCH/files-list", "", 200, `"data":[]`},
		{"DELETE", "cl/PATCH", "", 200, ok},
		{"DELETE", "cl/PATCH", "", 404, "PATCH"},
		{"POST", "faults", `{"kind":"status","status":503,"route":"/status","count":1}`, 200, ok},
		{"POST", "faults", `{"kind":"advance","name":"go","revs":["` + second + `"],"route":"/status"}`, 200, ok},
		{"GET", "../api/v1/status", "", 503, ""},
		{"GET", "head", "", 200, first},
		{"GET", "../api/v1/status", "", 200, "http ready"},
		{"GET", "head", "", 200, second},
		{"GET", "faults", "", 200, `{"name":"status","route":"/status","count":1,"matched":2,"met":1}`},
		{"DELETE", "faults/go", "", 200, ok},
		{"DELETE", "faults/go", "", 404, "go"},
		{"DELETE", "faults", "", 200, ok},
		{"GET", "faults", "", 200, "[]"},
		{"GET", "traffic", "", 200, `"/api/v1/status":{"requests":2,"bytes":13,"in_flight":0,"peak":1,"objects":{"/api/v1/status":2}}`},
		{"DELETE", "traffic", "", 200, ok},
		{"GET", "traffic", "", 200, "{}"},
		{"PUT", "quirks", `{"sha1_prefix":true,"imports":[{"path":"/dir"}]}`, 200, ok},
		{"GET", "quirks", "", 200, `{"sha1_prefix":true,"imports":[{"path":"/dir"}]}`},
		{"GET", "../api/v1/cl/RANGE/files-list", "", 200, `"sha":"sha1:`},
		{"PUT", "lfs", `{"dir":"` + repo.Dir + `"}`, 200, ok},
		{"PUT", "head", `{"rev":""}`, 200, second},

		{"PUT", "head", `{"rev":"nope"}`, 400, "unknown revision"},
		{"PUT", "head", `{"ref":"v1"}`, 400, "unknown field"},
		{"PUT", "head", ``, 400, "bad request"},
		{"PUT", "cl/X", `{}`, 400, "give a revision or a patch"},
		{"PUT", "cl/X", `{"patch":"hello"}`, 400, "does not apply"},
		{"POST", "faults", `{"kind":"nope"}`, 400, "give one of"},
		{"GET", "nope", "", 404, "no such route"},
	} {
		target, tellOrAsk := step.path, tell
		if api, isAPI := strings.CutPrefix(step.path, "../"); isAPI {
			target, tellOrAsk = "/"+api, func(t *testing.T, h http.Handler, method, path, _ string) *httptest.ResponseRecorder {
				return ask(t, h, method, path)
			}
		}
		got := tellOrAsk(t, h, step.method, target, step.body)
		if got.Code != step.code || !strings.Contains(got.Body.String(), step.has) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", step.method, step.path, step.body, got.Code, got.Body, step.code, step.has)
		}
	}
}

func TestWithoutControlThereAreNoSuchRoutes(t *testing.T) {
	s, _ := newServer(t)
	if got := tell(t, s, http.MethodPut, "head", `{"rev":"v1"}`); got.Code != http.StatusNotFound {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}
