package mega_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

const changesRoute = "/files-list"

// envelope is Mega's answer with this list.
func envelope(list string) string { return `{"req_result":true,"data":` + list + `,"err_message":""}` }

// answering returns a client of a server that gives every request this answer.
func answering(t *testing.T, contentType, body string) *mega.Client {
	t.Helper()
	return dial(t, origintest.Inject(http.NotFoundHandler(), origintest.Always("/", origintest.Answer(contentType, body))))
}

func TestChanges(t *testing.T) {
	ids := make([]object.ID, 4)
	for i := range ids {
		ids[i] = object.Sum(object.Blob, []byte{byte(i)})
	}
	o := answering(t, "application/json", envelope(`[
		{"path":"src/a.rs","sha":"`+ids[0].String()+`","action":"modified"},
		{"path":"src/new name.rs","sha":"sha1:`+ids[1].String()+`","action":"renamed","old_path":"src/old.rs","similarity":97},
		{"path":"docs/x.md","sha":"`+ids[2].String()+`","action":"deleted"},
		{"path":"grüße/+&%#?'","sha":"`+strings.ToUpper(ids[3].String())+`","action":"new"}]`))
	got, err := o.Changes(t.Context(), "ABC123")
	want := []remote.Change{
		{Action: remote.Modified, Path: "src/a.rs", ID: ids[0]},
		{Action: remote.Renamed, Path: "src/new name.rs", OldPath: "src/old.rs", ID: ids[1]},
		{Action: remote.Deleted, Path: "docs/x.md", ID: ids[2]},
		{Action: remote.New, Path: "grüße/+&%#?'", ID: ids[3]},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
	if got, err := answering(t, "application/json", envelope("[]")).Changes(t.Context(), "EMPTY"); len(got) != 0 || err != nil {
		t.Errorf("an empty changelist is %v, %v", got, err)
	}
}

// TestLinksAreEscaped: whatever a link is, it is one part of the path and no other route.
func TestLinksAreEscaped(t *testing.T) {
	var asked string
	o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI
		origintest.Answer("application/json", envelope("[]"))(w, r, nil)
	}))
	for link, want := range map[string]string{
		"ABC123":          "/api/v1/cl/ABC123/files-list",
		"a/b":             "/api/v1/cl/a%2Fb/files-list",
		"../../file/blob": "/api/v1/cl/..%2F..%2Ffile%2Fblob/files-list",
		"a?b#c%d e+f":     "/api/v1/cl/a%3Fb%23c%25d%20e+f/files-list",
		"ü":               "/api/v1/cl/%C3%BC/files-list",
	} {
		if _, err := o.Changes(t.Context(), link); err != nil || asked != want {
			t.Errorf("%q asked for %s, want %s: %v", link, asked, want, err)
		}
	}
	for _, link := range []string{"", ".", ".."} {
		asked = ""
		_, err := o.Changes(t.Context(), link)
		wantError(t, err, remote.ErrNotFound, "changelist")
		if asked != "" {
			t.Errorf("%q asked for %s", link, asked)
		}
	}
}

func TestUnknownChangelist(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"the API says so": {`{"req_result":false,"data":null,"err_message":"CL not found"}`, remote.ErrNotFound},
		"a proxy's page":  {`<html>404</html>`, remote.ErrBadAnswer},
	} {
		o := dial(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(tt.body))
		}))
		_, err := o.Changes(t.Context(), "NONE")
		wantError(t, err, tt.want, "/cl/NONE/files-list: 404 Not Found")
		if n := o.Counts().Requests; n != 1 {
			t.Errorf("%s: tried %d times", name, n)
		}
	}
}

func TestBadChangesAreRefused(t *testing.T) {
	id := object.Sum(object.Blob, nil).String()
	file := func(path, action, more string) string {
		return `{"path":` + path + `,"sha":"` + id + `","action":"` + action + `"` + more + `}`
	}
	for says, list := range map[string]string{
		`"../up"`:                         file(`"../up"`, "new", ""),
		`"a/../../b"`:                     file(`"a/../../b"`, "deleted", ""),
		`"/etc/passwd"`:                   file(`"/etc/passwd"`, "new", ""),
		`path ""`:                         file(`""`, "new", ""),
		`"a//b"`:                          file(`"a//b"`, "new", ""),
		`"a/"`:                            file(`"a/"`, "new", ""),
		`"a/./b"`:                         file(`"a/./b"`, "new", ""),
		`nul\x00`:                         file(`"nul\u0000"`, "new", ""),
		`".git/config"`:                   file(`".git/config"`, "new", ""),
		`"a/.GIT/hooks/x"`:                file(`"a/.GIT/hooks/x"`, "modified", ""),
		`no directory of a repository`:    file(`"b"`, "renamed", `,"old_path":".git"`),
		`"b" was renamed: path ""`:        file(`"b"`, "renamed", ""),
		`"../old"`:                        file(`"b"`, "renamed", `,"old_path":"../old"`),
		`action "copied"`:                 file(`"a"`, "copied", ""),
		`written twice`:                   file(`"a"`, "new", "") + "," + file(`"a"`, "modified", ""),
		`"x" goes away twice`:             file(`"x"`, "deleted", "") + "," + file(`"a"`, "renamed", `,"old_path":"x"`),
		`not an object id of 40`:          `{"path":"a","sha":"12","action":"new"}`,
		`only those of SHA-1 can be read`: `{"path":"a","sha":"` + id + id[:24] + `","action":"new"}`,
		strings.Repeat("n", 256):          file(`"`+strings.Repeat("n", 256)+`"`, "new", ""),
	} {
		o := answering(t, "application/json", envelope("["+list+"]"))
		changes, err := o.Changes(t.Context(), "X")
		wantError(t, err, remote.ErrBadAnswer, says)
		if changes != nil {
			t.Errorf("%s: got %v beside the error", says, changes)
		}
	}
	for name, body := range map[string]string{
		"null data": envelope("null"), "a refusal": `{"req_result":false,"data":[],"err_message":"x"}`, "garbage": "{", "none": `{}`,
	} {
		_, err := answering(t, "application/json", body).Changes(t.Context(), "X")
		if !errors.Is(err, remote.ErrBadAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := answering(t, "text/html", "<html>").Changes(t.Context(), "X")
	wantError(t, err, remote.ErrBadAnswer, "text/html")
}

// TestChangesAreTriedAgain puts transient faults in front of a list.
func TestChangesAreTriedAgain(t *testing.T) {
	for _, fault := range []origintest.Fault{origintest.Status(503), origintest.Reset(), origintest.Half()} {
		next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			origintest.Answer("application/json", envelope("[]"))(w, r, nil)
		})
		o := dial(t, origintest.Inject(next, origintest.First(2, changesRoute, fault)))
		if _, err := o.Changes(t.Context(), "X"); err != nil || o.Counts().Requests != 3 {
			t.Errorf("%v after %d requests", err, o.Counts().Requests)
		}
	}
}
