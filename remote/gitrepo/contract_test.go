package gitrepo_test

import (
	"testing"

	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

func TestContract(t *testing.T) {
	origintest.Run(t, func(t *testing.T) origintest.Fixture {
		repo := origintest.NewRepo(t)
		return origintest.Fixture{Repo: repo, Origin: open(t, repo.Dir)}
	})
}

func open(t *testing.T, dir string) *gitrepo.Repo {
	t.Helper()
	r, err := gitrepo.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
