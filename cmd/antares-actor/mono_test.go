package main_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/remote/origintest"
)

// get asks a server and returns the answer's body.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", url, resp.Status, body, err)
	}
	return string(body)
}

func TestMonoServesWhatItsFlagsSay(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	first := repo.ID(t, "HEAD").String()
	repo.Write(t, "dir/a/new", "new\n", 0o644)
	repo.Write(t, "README.md", "second\n", 0o644)
	second := repo.Commit(t, "second").String()
	lab := suite.New(t)
	patch := writeFile(t, lab.Path("x.patch"), repo.Git(t, "diff", first, second))
	url := lab.Mono(repo.Dir, "--head", "v1", "--cl", "COMMIT="+second, "--cl", "RANGE="+first+"..main", "--cl-path", "RANGE=dir/a",
		"--cl", "PATCH=@"+patch, "--cl", "BASED="+first+"..@"+patch, "--cl-path", "BASED=/dir")
	if got := get(t, url+"/api/v1/latest-commit"); !strings.Contains(got, first) {
		t.Errorf("the head is %s", got)
	}
	id := repo.ID(t, second+":dir/a/new").String()
	for link, path := range map[string]string{"COMMIT": "dir/a/new", "RANGE": "new", "PATCH": "dir/a/new", "BASED": "a/new"} {
		want := `{"path":"` + path + `","sha":"` + id + `","action":"new"}`
		got := get(t, url+"/api/v1/cl/"+link+"/files-list")
		if !strings.Contains(got, want) || strings.Contains(got, "README.md") != strings.HasPrefix(path, "dir") {
			t.Errorf("%s: %s", link, got)
		}
	}
}

func TestMonoIsControlledWhileItRuns(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	first := repo.ID(t, "HEAD").String()
	oid := repo.WriteLFS(t, "model.bin", "weights")
	repo.Commit(t, "second")
	url := suite.New(t).Mono(repo.Dir, "--control", "--fault", `{"kind":"short","bytes":2,"route":"/objects/","count":1}`)
	for _, want := range []string{"we", "weights"} {
		if got := get(t, url+"/info/lfs/objects/"+oid); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/_test/head", strings.NewReader(`{"rev":"v1"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := get(t, url+"/api/v1/latest-commit"); !strings.Contains(got, first) {
		t.Errorf("the head is %s", got)
	}
	if got := get(t, url+"/_test/traffic"); !strings.Contains(got, `"`+oid+`":2`) {
		t.Errorf("traffic is %s", got)
	}
}
