package monoserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

const serverError = `{"req_result":false,"data":null,"err_message":"Internal server error"}` + "\n"

func newServer(t *testing.T) (*monoserver.Server, *origintest.Repo) {
	t.Helper()
	repo := origintest.NewRepo(t)
	return monoserver.New(openRepo(t, repo), slog.New(slog.DiscardHandler)), repo
}

func openRepo(t *testing.T, repo *origintest.Repo) *gitrepo.Repo {
	t.Helper()
	r, err := gitrepo.Open(t.Context(), repo.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func ask(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, target, nil))
	return rec
}

func TestExactAnswers(t *testing.T) {
	s, repo := newServer(t)
	head, dir, dirA := repo.ID(t, "HEAD"), repo.ID(t, "HEAD:dir"), repo.ID(t, "HEAD:dir/a")
	list := func(items string) string { return `{"req_result":true,"data":[` + items + `],"err_message":""}` + "\n" }
	item := func(path, kind string) string {
		return fmt.Sprintf(`{"name":%q,"content_type":%q,"oid":"%s"}`, path[strings.LastIndex(path, "/")+1:], kind, repo.ID(t, "HEAD:"+path))
	}
	a := list(item("dir/a/b", "directory") + "," + item("dir/a/same", "file") + "," + item("dir/a/up", "file"))
	info := fmt.Sprintf(`{"oid":"%s","date":"1700000000","short_message":"first","author":"A U Thor","committer":"C O Mitter","status":"success"}`+"\n", head)
	tests := []struct {
		name, target string
		status       int
		contentType  string
		body         string
	}{
		{"listing", "/api/v1/tree/content-hash?path=/dir/a", 200, "application/json", a},
		{"listing without the first slash", "/api/v1/tree/content-hash?path=dir//a/", 200, "application/json", a},
		{"listing at a commit", "/api/v1/tree/content-hash?path=/dir/a&refs=" + head.String(), 200, "application/json", a},
		{"listing at a tag", "/api/v1/tree/content-hash?path=/dir/a&refs=v1", 200, "application/json", a},
		{"listing of what is missing", "/api/v1/tree/content-hash?path=/nowhere", 200, "application/json", list("")},
		{"listing of a file", "/api/v1/tree/content-hash?path=/README.md", 200, "application/json", list("")},
		{"listing below a file", "/api/v1/tree/content-hash?path=/README.md/x", 200, "application/json", list("")},
		{"listing of a submodule", "/api/v1/tree/content-hash?path=/sub", 200, "application/json", list("")},
		{"listing at an unknown tag", "/api/v1/tree/content-hash?path=/&refs=main", 500, "application/json", serverError},
		{"listing at an unknown commit", "/api/v1/tree/content-hash?refs=" + dir.String(), 500, "application/json", serverError},
		{"directory id", "/api/v1/tree/dir-hash?path=/dir/a", 200, "application/json", list(item("dir/a", "directory"))},
		{"directory id of the root", "/api/v1/tree/dir-hash?path=/", 200, "application/json", list("")},
		{"directory id of a file", "/api/v1/tree/dir-hash?path=/README.md", 200, "application/json", list("")},
		{"directory id of what is missing", "/api/v1/tree/dir-hash?path=/dir/x", 200, "application/json", list("")},
		{"directory id at an unknown tag", "/api/v1/tree/dir-hash?path=/dir&refs=x", 500, "application/json", serverError},
		{"raw tree", "/api/v1/file/tree?path=/dir/a", 200, "application/octet-stream", repo.Git(t, "cat-file", "tree", dirA.String())},
		{"raw tree with its id", "/api/v1/file/tree?path=/dir/a&oid=" + dirA.String(), 200, "application/octet-stream", repo.Git(t, "cat-file", "tree", dirA.String())},
		{"raw tree with another id", "/api/v1/file/tree?path=/dir/a&oid=" + dir.String(), 200, "application/octet-stream", ""},
		{"raw tree of a file", "/api/v1/file/tree?path=/README.md", 200, "application/octet-stream", ""},
		{"raw tree of what is missing", "/api/v1/file/tree?path=/x", 200, "application/octet-stream", ""},
		{"blob", "/api/v1/file/blob/" + repo.ID(t, "HEAD:README.md").String(), 200, "application/octet-stream", "# corpus\n"},
		{"blob by no hex", "/api/v1/file/blob/xyz", 500, "application/json", serverError},
		{"blob by a short id", "/api/v1/file/blob/abcd", 500, "application/json", serverError},
		{"status", "/api/v1/status", 200, "application/json", "\"http ready\"\n"},
		{"root page", "/", 200, "application/json", "\"http ready\"\n"},
		{"latest commit", "/api/v1/latest-commit?path=/", 200, "application/json", info},
		{"latest commit of a path", "/api/v1/latest-commit?path=/dir/a&refs=" + head.String(), 200, "application/json", info},
		{"latest commit of an unknown tag", "/api/v1/latest-commit?refs=zz", 500, "application/json", serverError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, s, http.MethodGet, tt.target)
			if got.Code != tt.status || got.Header().Get("Content-Type") != tt.contentType || got.Body.String() != tt.body {
				t.Errorf("%d %s %q\nwant %d %s %q", got.Code, got.Header().Get("Content-Type"), got.Body, tt.status, tt.contentType, tt.body)
			}
		})
	}
}

func TestNotFoundHasTheEnvelope(t *testing.T) {
	s, repo := newServer(t)
	for _, target := range []string{
		"/api/v1/file/blob/" + strings.Repeat("0", 40), "/api/v1/file/blob/" + strings.Repeat("a", 64),
		"/api/v1/file/blob/" + repo.ID(t, "HEAD").String(), "/api/v1/cl/ABC123/files-list",
		"/api/v1/latest-commit?path=/nowhere", "/api/v1/no/such/route", "/x",
	} {
		got := ask(t, s, http.MethodGet, target)
		var env map[string]any
		if err := json.Unmarshal(got.Body.Bytes(), &env); err != nil || got.Code != 404 {
			t.Errorf("%s: %d %q, %v", target, got.Code, got.Body, err)
			continue
		}
		if data, has := env["data"]; env["req_result"] != false || !has || data != nil || env["err_message"] == "" || len(env) != 3 {
			t.Errorf("%s: envelope %v", target, env)
		}
	}
}

func TestBlobHeaders(t *testing.T) {
	s, repo := newServer(t)
	id := repo.ID(t, "HEAD:large.bin").String()
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/api/v1/file/blob/"+id, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=0-0")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		want := int64(origintest.LargeSize)
		if resp.StatusCode != http.StatusOK || resp.ContentLength != want || err != nil {
			t.Errorf("%s: %s, %d bytes announced, %v", method, resp.Status, resp.ContentLength, err)
		}
		if method == http.MethodGet && n != want {
			t.Errorf("a range is not to be honoured: %d bytes of %d", n, want)
		}
		if got := resp.Header.Get("Content-Disposition"); got != `inline; filename="`+id+`"` {
			t.Errorf("%s: disposition %s", method, got)
		}
	}
	if got := ask(t, s, http.MethodHead, "/api/v1/file/blob/"+strings.Repeat("0", 40)); got.Code != 404 {
		t.Errorf("HEAD of a missing blob: %d", got.Code)
	}
}

func TestListingOrderAndOddNames(t *testing.T) {
	s, repo := newServer(t)
	var got struct {
		Data []struct{ Name, ContentType, OID string }
	}
	body := ask(t, s, http.MethodGet, "/api/v1/tree/content-hash?path=/odd").Body.Bytes()
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(body), "content_type", "ContentType")), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Data) < 20 || got.Data[0].Name != "sp ace" || got.Data[0].ContentType != "directory" {
		t.Fatalf("directories do not come first: %s", body)
	}
	last := ""
	for _, item := range got.Data[1:] {
		if item.Name <= last && !strings.Contains(item.Name, "�") { // JSON cannot hold the name that is not UTF-8
			t.Errorf("%q comes after %q", item.Name, last)
		}
		last = item.Name
	}
	inside := ask(t, s, http.MethodGet, "/api/v1/tree/content-hash?path="+url.QueryEscape("/odd/sp ace/+&%#?'"))
	if want := repo.ID(t, "HEAD:odd/sp ace/+&%#?'/in").String(); !strings.Contains(inside.Body.String(), want) {
		t.Errorf("odd directory: %s", inside.Body)
	}
}

func TestTreeListsTheDirectoriesAbove(t *testing.T) {
	s, _ := newServer(t)
	type item struct {
		Name        string `json:"name"`
		Path        string `json:"path"`
		ContentType string `json:"content_type"`
	}
	var got struct {
		Data struct {
			Above map[string]struct {
				Items []item `json:"tree_items"`
				Total int    `json:"total_count"`
			} `json:"file_tree"`
			Items []item `json:"tree_items"`
		} `json:"data"`
	}
	body := ask(t, s, http.MethodGet, "/api/v1/tree?path=/dir/a").Body.Bytes()
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`{"req_result":true,"data":{"file_tree":{"/":{"tree_items":[{"name":"bin","path":"/bin","content_type":"directory"},`,
		`"/dir":{"tree_items":[{"name":"a","path":"/dir/a","content_type":"directory"},{"name":"b","path":"/dir/b","content_type":"directory"}],"total_count":2}},`,
		`},"tree_items":[{"name":"b","path":"/dir/a/b","content_type":"directory"},{"name":"same","path":"/dir/a/same","content_type":"file"},` +
			`{"name":"up","path":"/dir/a/up","content_type":"file"}]},"err_message":""}`,
	} {
		if !strings.Contains(string(body), part) {
			t.Errorf("%s\nhas no %s", body, part)
		}
	}
	if len(got.Data.Items) != 3 || got.Data.Items[0] != (item{"b", "/dir/a/b", "directory"}) {
		t.Errorf("items %v", got.Data.Items)
	}
	if len(got.Data.Above) != 2 || got.Data.Above["/dir"].Total != 2 || got.Data.Above["/"].Total < 10 {
		t.Errorf("above %v", got.Data.Above)
	}
	if got := ask(t, s, http.MethodGet, "/api/v1/tree?path=/dir/a&refs=zz"); got.Code != 500 {
		t.Errorf("unknown tag: %d", got.Code)
	}
}

func TestCountsByRoute(t *testing.T) {
	s, _ := newServer(t)
	for range 3 {
		ask(t, s, http.MethodGet, "/api/v1/tree/content-hash")
	}
	ask(t, s, http.MethodHead, "/api/v1/file/blob/"+object.EmptyBlob.String())
	got := s.Counts()
	if len(got) != 2 || got["/api/v1/tree/content-hash"] != 3 || got["/api/v1/file/blob/{oid}"] != 1 {
		t.Errorf("counts %v", got)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s, _ := newServer(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- monoserver.Serve(ctx, ln, s, nil) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/api/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestServeSpeaksHTTP2(t *testing.T) {
	s, repo := newServer(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- monoserver.Serve(ctx, ln, s, nil) }()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: transport}
	url := "http://" + ln.Addr().String() + "/api/v1/file/blob/" + repo.ID(t, "HEAD:large.bin").String()
	for _, f := range []fault.Fault{nil, fault.Cut(1000), fault.ResetAfter(1000)} {
		if f != nil {
			s.Faults().Add(fault.Rule{Count: 1, Fault: f})
		}
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.ContentLength != origintest.LargeSize || (err == nil) != (f == nil) || (n == origintest.LargeSize) != (f == nil) {
			t.Errorf("%s: %d bytes of %d, %v", resp.Proto, n, resp.ContentLength, err)
		}
	}
	transport.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestServeReportsADeadListener(t *testing.T) {
	s, _ := newServer(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := monoserver.Serve(t.Context(), ln, s, nil); err == nil {
		t.Error("no error")
	}
}
