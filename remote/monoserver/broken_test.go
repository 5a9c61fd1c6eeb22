package monoserver_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// broken is a repository whose blobs end early and whose trees cannot be read.
type broken struct{ *gitrepo.Repo }

func (broken) Blob(context.Context, object.ID) (remote.Blob, error) {
	body := io.MultiReader(strings.NewReader("some"), iotest.ErrReader(errors.New("disk trouble")))
	return remote.Blob{ReadCloser: io.NopCloser(body), Size: 1000}, nil
}

func (broken) Tree(context.Context, remote.TreeRef) (remote.Tree, error) {
	return remote.Tree{}, remote.ErrUnavailable
}

func TestTroubleIsNeverAnAnswer(t *testing.T) {
	repo := origintest.NewRepo(t)
	r, err := gitrepo.Open(t.Context(), repo.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	srv := httptest.NewServer(monoserver.New(broken{r}, nil))
	defer srv.Close()

	resp, err := http.Get(srv.URL + "/api/v1/file/blob/" + object.EmptyBlob.String())
	if err == nil { // else the connection broke before the headers were out, which is as clear
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Errorf("a cut blob of %d bytes reads as complete", n)
		}
	}
	for target, want := range map[string]int{
		"/api/v1/tree/content-hash": 500, "/api/v1/tree/dir-hash?path=/dir": 500, "/api/v1/tree": 500,
		"/api/v1/file/tree": 503, "/api/v1/latest-commit?path=/dir": 503,
	} {
		resp, err := http.Get(srv.URL + target)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", target, resp.StatusCode, want)
		}
	}
}
