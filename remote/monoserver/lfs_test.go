package monoserver_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/remote/monoserver"
)

// post asks for a batch.
func post(t *testing.T, h http.Handler, path, contentType, body string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	h.ServeHTTP(rec, req)
	return rec
}

const (
	lfsJSON = "application/vnd.git-lfs+json"
	nobody  = "00000000000000000000000000000000000000000000000000000000deadbeef"
)

func batch(operation string, oids ...string) string {
	var objects []string
	for _, oid := range oids {
		objects = append(objects, fmt.Sprintf(`{"oid":%q,"size":1}`, oid))
	}
	return fmt.Sprintf(`{"operation":%q,"transfers":["basic"],"objects":[%s],"hash_algo":"sha256"}`, operation, strings.Join(objects, ","))
}

func TestLFSBatchAndDownload(t *testing.T) {
	s, repo := newServer(t)
	oid := repo.WriteLFS(t, "model.bin", strings.Repeat("weights ", 1000))
	repo.Commit(t, "a large file")
	pointer := ask(t, s, http.MethodGet, "/api/v1/file/blob/"+repo.ID(t, "HEAD:model.bin").String()).Body.String()
	if want := "version https://git-lfs.github.com/spec/v1\noid sha256:" + oid + "\nsize 8000\n"; pointer != want {
		t.Errorf("the blob is %q, want the pointer", pointer)
	}
	s.ServeLFS(filepath.Join(repo.Dir, ".git", "lfs", "objects"))
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, root := range []string{"", "/info/lfs", "/api/v1/lfs"} {
		resp, err := http.Post(srv.URL+root+"/objects/batch", lfsJSON, strings.NewReader(batch("download", oid, nobody)))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Transfer string
			HashAlgo string `json:"hash_algo"`
			Objects  []struct {
				OID     string
				Size    int64
				Actions struct{ Download struct{ Href string } }
				Error   struct{ Code int }
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&got)
		resp.Body.Close()
		if err != nil || resp.Header.Get("Content-Type") != lfsJSON || len(got.Objects) != 2 || got.Transfer != "basic" || got.HashAlgo != "sha256" {
			t.Fatalf("%s: %+v, %v", root, got, err)
		}
		here, missing := got.Objects[0], got.Objects[1]
		if here.OID != oid || here.Size != 8000 || here.Error.Code != 0 || here.Actions.Download.Href != srv.URL+"/info/lfs/objects/"+oid {
			t.Errorf("%+v", here)
		}
		if missing.OID != nobody || missing.Size != 1 || missing.Error.Code != 404 || missing.Actions.Download.Href != "" {
			t.Errorf("%+v", missing)
		}
		for _, url := range []string{here.Actions.Download.Href, srv.URL + root + "/objects/" + oid} {
			resp, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if len(body) != 8000 || err != nil || resp.ContentLength != -1 || resp.Header.Get("Content-Type") != "application/octet-stream" {
				t.Errorf("%s: %d bytes, %v, %v", url, len(body), err, resp.Header)
			}
		}
	}
	if n := s.Traffic()["/info/lfs/objects/{oid}"].Objects[oid]; n != 4 {
		t.Errorf("counted %d downloads there", n)
	}
}

func TestLFSErrors(t *testing.T) {
	s, repo := newServer(t)
	oid := repo.WriteLFS(t, "model.bin", "weights")
	for _, body := range []string{
		"without a directory", "with another one",
	} {
		got := ask(t, s, http.MethodGet, "/objects/"+oid)
		if got.Code != 404 || got.Header().Get("Content-Type") != lfsJSON || !strings.Contains(got.Body.String(), `{"message":"LFS object not found`) {
			t.Errorf("%s: %d %s", body, got.Code, got.Body)
		}
		s.ServeLFS(t.TempDir())
	}
	for _, oid := range []string{"batch", "..", strings.Repeat("z", 64), oid[:63], "%2e%2e%2f" + oid} {
		if got := ask(t, s, http.MethodGet, "/info/lfs/objects/"+oid); got.Code != 404 && got.Code != http.StatusTemporaryRedirect {
			t.Errorf("%s: %d %s", oid, got.Code, got.Body)
		}
	}
	for name, tt := range map[string]struct {
		contentType, body string
		want              int
	}{
		"no content type":            {"", batch("download", oid), 415},
		"text":                       {"text/plain", batch("download", oid), 415},
		"no JSON":                    {lfsJSON, "{", 400},
		"without transfers":          {lfsJSON, `{"operation":"download","objects":[],"hash_algo":"sha256"}`, 422},
		"without the hash algorithm": {lfsJSON, `{"operation":"download","objects":[],"transfers":["basic"]}`, 422},
		"plain JSON":                 {"application/json", batch("download", oid), 200},
		"nothing":                    {lfsJSON, batch("download"), 200},
	} {
		if got := post(t, s, "/info/lfs/objects/batch", tt.contentType, tt.body); got.Code != tt.want {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
}

func TestLFSObjectsMayBeElsewhere(t *testing.T) {
	s, repo := newServer(t)
	oid := repo.WriteLFS(t, "model.bin", "weights")
	s.ServeLFS(filepath.Join(repo.Dir, ".git", "lfs", "objects", oid[:2], oid[2:4])) // a flat directory
	s.SetQuirks(monoserver.Quirks{LFSBase: "https://store.example.org/x?id="})
	got := post(t, s, "/objects/batch", lfsJSON, batch("download", oid)).Body.String()
	if !strings.Contains(got, `"href":"https://store.example.org/x?id=`+oid+`"`) {
		t.Error(got)
	}
	got = post(t, s, "/objects/batch", lfsJSON, batch("upload", oid)).Body.String()
	if strings.Contains(got, "actions") || strings.Contains(got, "error") {
		t.Errorf("an upload of what is there has nothing to do: %s", got)
	}
}
