package monoserver_test

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// in256 makes a repository of git's SHA-256 format with the same files, and returns a function that resolves names in it.
func in256(t *testing.T, repo *origintest.Repo) func(name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sha256")
	git := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"--git-dir", dir}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("", "init", "-q", "--bare", "--object-format=sha256", dir)
	for line := range strings.SplitSeq(strings.TrimSuffix(repo.Git(t, "ls-tree", "-r", "-z", "HEAD"), "\x00"), "\x00") {
		info, path, _ := strings.Cut(line, "\t")
		fields := strings.Fields(info)
		id := fields[2] + strings.Repeat("0", 24)
		if fields[1] == "blob" {
			id = git(repo.Git(t, "cat-file", "blob", fields[2]), "hash-object", "-w", "--stdin")
		}
		git(fields[0]+" "+id+"\t"+path+"\x00", "update-index", "-z", "--index-info")
	}
	tree := git("", "write-tree", "--missing-ok")
	return func(name string) string { return git("", "rev-parse", "--verify", tree+name) }
}

func TestIDsOfTheSHA256FormatAreGits(t *testing.T) {
	s, repo := newServer(t)
	id := in256(t, repo)
	add(t, s, monoserver.Changelist{Link: "CL", Rev: "HEAD"})
	s.SetQuirks(monoserver.Quirks{SHA256: true})
	var listing struct {
		Data []struct{ Name, OID, Path, SHA string }
	}
	if err := json.Unmarshal(ask(t, s, http.MethodGet, "/api/v1/tree/content-hash").Body.Bytes(), &listing); err != nil {
		t.Fatal(err)
	}
	for _, e := range listing.Data {
		if want := id(":" + e.Name); e.OID != want {
			t.Errorf("%s: %s, want %s", e.Name, e.OID, want)
		}
	}
	if got := ask(t, s, http.MethodGet, "/api/v1/tree/dir-hash?path=/dir/a").Body.String(); !strings.Contains(got, id(":dir/a")) {
		t.Errorf("dir-hash: %s", got)
	}
	if err := json.Unmarshal(ask(t, s, http.MethodGet, "/api/v1/cl/CL/files-list").Body.Bytes(), &listing); err != nil {
		t.Fatal(err)
	}
	for _, f := range listing.Data {
		if strings.HasPrefix(f.Path, "dir/") && f.SHA != id(":"+f.Path) {
			t.Errorf("%s: %s", f.Path, f.SHA)
		}
	}
	raw := ask(t, s, http.MethodGet, "/api/v1/file/tree?path=/bin&oid="+id(":bin")).Body.String()
	if !strings.HasPrefix(raw, "100755 run.sh\x00") || len(raw) != len("100755 run.sh\x00100755 tool\x00")+64 {
		t.Errorf("raw tree %q", raw)
	}
	if got := ask(t, s, http.MethodGet, "/api/v1/file/tree?path=/bin&oid="+id(":dir")).Body.Len(); got != 0 {
		t.Errorf("a raw tree with another id has %d bytes", got)
	}
	if got := ask(t, s, http.MethodGet, "/api/v1/file/blob/"+id(":foo.txt")); got.Body.String() != "2\n" {
		t.Errorf("blob: %d %s", got.Code, got.Body)
	}
	var info struct{ OID string }
	if err := json.Unmarshal(ask(t, s, http.MethodGet, "/api/v1/latest-commit").Body.Bytes(), &info); err != nil || len(info.OID) != 64 {
		t.Errorf("%+v, %v", info, err)
	}
	for target, want := range map[string]int{
		"/api/v1/tree/content-hash?refs=" + info.OID:               500, // Mega takes 40 digits only
		"/api/v1/file/blob/" + repo.ID(t, "HEAD:foo.txt").String(): 404,
		"/api/v1/file/blob/" + strings.Repeat("0", 64):             404,
	} {
		if got := ask(t, s, http.MethodGet, target); got.Code != want {
			t.Errorf("%s: %d, want %d", target, got.Code, want)
		}
	}
}
