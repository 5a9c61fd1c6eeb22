package mega_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// TestChangesOfAServer asks our own server, whose answers are checked against Mega's, for a changelist of each action.
func TestChangesOfAServer(t *testing.T) {
	repo := origintest.NewRepo(t)
	repo.Write(t, "p/long name", strings.Repeat("a line of many\n", 100), 0o644)
	repo.Write(t, "p/changed", "before", 0o644)
	repo.Write(t, "p/gone", "gone", 0o644)
	repo.Commit(t, "before")
	repo.Git(t, "mv", "p/long name", "p/grüße")
	repo.Write(t, "p/changed", "after", 0o644)
	repo.Remove(t, "p/gone")
	repo.Write(t, "p/sub/new", "new", 0o755)
	repo.Write(t, "elsewhere", "not below the changelist's path", 0o644)
	repo.Commit(t, "after")
	server := serve(t, repo)
	server.SetQuirks(monoserver.Quirks{SHA1Prefix: true})
	if err := server.AddChangelist(t.Context(), monoserver.Changelist{Link: "CL1", Rev: "HEAD", Path: "p"}); err != nil {
		t.Fatal(err)
	}
	got, err := dial(t, server).Changes(t.Context(), "CL1")
	slices.SortFunc(got, func(a, b remote.Change) int { return strings.Compare(a.Path, b.Path) })
	want := []remote.Change{
		{Action: remote.Modified, Path: "changed", ID: repo.ID(t, "HEAD:p/changed")},
		{Action: remote.Deleted, Path: "gone", ID: repo.ID(t, "HEAD^:p/gone")},
		{Action: remote.Renamed, Path: "grüße", OldPath: "long name", ID: repo.ID(t, "HEAD:p/grüße")},
		{Action: remote.New, Path: "sub/new", ID: repo.ID(t, "HEAD:p/sub/new")},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v\nwant %v", got, err, want)
	}
	_, err = dial(t, server).Changes(t.Context(), "CL2")
	wantError(t, err, remote.ErrNotFound, "CL2")
}

func TestLargeFilesOfAServer(t *testing.T) {
	server := serve(t, origintest.NewRepo(t))
	content := strings.Repeat("large ", 100_000)
	sum := sha256.Sum256([]byte(content))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, hex.EncodeToString(sum[:])), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	server.ServeLFS(dir)
	o := dial(t, server)
	for _, cut := range []int64{0, 100_000} {
		if cut > 0 { // it does not say how long a file is: only what it should be tells that this is not all
			server.Faults().Add(fault.Rule{Route: "/info/lfs/objects/", Count: 2, Fault: fault.Cut(cut)})
		}
		b, err := o.LargeFile(t.Context(), sum, int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(b); string(got) != content || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		b.Close()
	}
	_, err := o.LargeFile(t.Context(), [32]byte{1}, 1)
	wantError(t, err, remote.ErrNotFound, "Not found")
}

// TestImportsOfAServer walks past an import that has moved and is not what the pinned commit has there.
func TestImportsOfAServer(t *testing.T) {
	repo := origintest.NewRepo(t)
	repo.Write(t, "third-party/lib/main.c", "old\n", 0o644)
	repo.Write(t, "third-party/library/x", "x", 0o644) // its name begins alike
	repo.Commit(t, "imported")
	repo.Git(t, "tag", "pinned")
	lib, neighbour := repo.ID(t, "HEAD:third-party/lib"), repo.ID(t, "HEAD:third-party/library")
	repo.Write(t, "third-party/lib/main.c", "new\n", 0o644)
	repo.Write(t, "README.md", "moved\n", 0o644)
	repo.Commit(t, "imported again")
	server := serve(t, repo)
	server.SetQuirks(monoserver.Quirks{Imports: []monoserver.Import{{Path: "/third-party/lib"}}})
	o := dial(t, server)
	c := pin(t, o, "pinned")
	got, err := o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "third-party/lib", ID: lib})
	if err != nil || !got.Derived || object.Sum(object.Tree, got.Payload) != repo.ID(t, "HEAD:third-party/lib") {
		t.Errorf("the import is derived %v, %v, or of no commit", got.Derived, err)
	}
	_, err = o.Tree(t.Context(), remote.TreeRef{Commit: c.ID, Path: "third-party/library", ID: neighbour})
	wantError(t, err, remote.ErrUnavailable, "500")
}
