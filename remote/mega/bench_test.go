package mega_test

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/mega"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// BenchmarkLoopback measures a request through the embedded server on this machine: what HTTP adds to gitrepo.
func BenchmarkLoopback(b *testing.B) {
	repo := origintest.NewRepo(b)
	r, err := gitrepo.Open(b.Context(), repo.Dir)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	srv := httptest.NewServer(monoserver.New(r, nil))
	defer srv.Close()
	c, err := mega.Open(mega.Config{BaseURL: srv.URL})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	pinned, err := c.Pin(b.Context(), "")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("pin", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Pin(b.Context(), ""); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tree three levels down", func(b *testing.B) {
		ref := remote.TreeRef{Commit: pinned.ID, Path: "dir/a/b", ID: repo.ID(b, "HEAD:dir/a/b")}
		for b.Loop() {
			if t, err := c.Tree(b.Context(), ref); err != nil || t.Derived {
				b.Fatal(t.Derived, err)
			}
		}
	})
	b.Run("small blob", func(b *testing.B) {
		id := repo.ID(b, "HEAD:README.md")
		for b.Loop() {
			blob, err := c.Blob(b.Context(), id)
			if err != nil {
				b.Fatal(err)
			}
			_, err = io.Copy(io.Discard, blob)
			blob.Close()
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
