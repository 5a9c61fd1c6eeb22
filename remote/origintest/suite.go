package origintest

import (
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Fixture is one case's origin over one repository. The suite closes the origin.
type Fixture struct {
	Repo   *Repo
	Origin remote.Origin
}

// Run runs the contract. Open makes a fixture over a new repository; it is called once a case.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for name, test := range cases() {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			t.Cleanup(func() {
				if err := f.Origin.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test(t, f)
		})
	}
}

// cases returns the contract, sentence by sentence.
func cases() map[string]func(*testing.T, Fixture) {
	return map[string]func(*testing.T, Fixture){
		"pin of nothing is the head":                       pinHead,
		"pin takes a commit id and tags":                   pinNames,
		"pin of the head follows the head":                 pinFollows,
		"pin of an older commit gives that commit's tree":  pinOlder,
		"pin refuses what names no commit":                 pinUnknown,
		"a walk lists what git lists":                      walkAll,
		"a pinned walk stays the same when the head moves": walkPinned,
		"the empty tree needs no server":                   treeEmpty,
		"a tree that is not there is an error":             treeMissing,
		"blobs have git's bytes":                           blobBytes,
		"a blob that is not there is not found":            blobMissing,
		"a submodule's commit is no blob":                  blobGitlink,
		"a blob may be closed early":                       blobClosedEarly,
		"many readers share an origin":                     concurrent,
		"a cancelled context ends requests only":           cancelled,
		"sizes are those of the content":                   sizes,
		"traffic is counted":                               counted,
		"large files have their bytes":                     largeBytes,
		"a large file that is not there is not found":      largeMissing,
	}
}

func pinHead(t *testing.T, f Fixture) {
	c := pin(t, f, "")
	if want := f.Repo.ID(t, "HEAD"); c.ID != want {
		t.Errorf("commit %s, want %s", c.ID, want)
	}
	if want := f.Repo.ID(t, "HEAD^{tree}"); c.Tree != want {
		t.Errorf("tree %s, want %s", c.Tree, want)
	}
	if c.Time.Unix() != CommitTime {
		t.Errorf("time %v, want the committer's, %d", c.Time, CommitTime)
	}
	if c.Root != nil && object.Sum(object.Tree, c.Root) != c.Tree {
		t.Errorf("root payload does not hash to %s", c.Tree)
	}
	if f.Origin.String() == "" {
		t.Error("the origin has no name")
	}
}

func pinNames(t *testing.T, f Fixture) {
	want := pin(t, f, "")
	for _, rev := range []string{want.ID.String(), TagAnnotated, TagLightweight} {
		if got := pin(t, f, rev); got.ID != want.ID || got.Tree != want.Tree || !got.Time.Equal(want.Time) {
			t.Errorf("pin %q = %v, want %v", rev, got, want)
		}
	}
}

func pinFollows(t *testing.T, f Fixture) {
	pin(t, f, "")
	f.Repo.Write(t, "README.md", "second\n", 0o644)
	id := f.Repo.Commit(t, "second")
	if got := pin(t, f, ""); got.ID != id || got.Tree != f.Repo.ID(t, "HEAD^{tree}") {
		t.Errorf("pin after a commit = %s, want %s", got.ID, id)
	}
}

func pinOlder(t *testing.T, f Fixture) {
	id := f.Repo.ID(t, "HEAD")
	f.Repo.Write(t, "README.md", "second\n", 0o644)
	f.Repo.Write(t, "added", "new at the root\n", 0o644)
	f.Repo.Write(t, "bin/more", "#!/bin/sh\n", 0o755)
	f.Repo.Commit(t, "second")
	for _, rev := range []string{id.String(), TagAnnotated} {
		c := pin(t, f, rev)
		if c.ID != id || c.Tree != f.Repo.ID(t, id.String()+"^{tree}") {
			t.Errorf("pin %s = commit %s tree %s", rev, c.ID, c.Tree)
		}
		compare(t, walk(t, f, c), lsTree(t, f.Repo, id.String()))
	}
}

func pinUnknown(t *testing.T, f Fixture) {
	blob := f.Repo.ID(t, "HEAD:README.md")
	for _, rev := range []string{
		"no-such-rev", "0123456789012345678901234567890123456789", blob.String(), "-x", "--all", "HEAD:README.md", "two words",
		"new\nline", "nul\x00", "HEAD@{upstream}", "a..b", "^" + TagAnnotated, "ünknown", "%", "&refs=v1", "/", ".",
	} {
		_, err := f.Origin.Pin(t.Context(), rev)
		wantError(t, "pin "+rev, err, remote.ErrUnknownRev)
	}
	pin(t, f, "") // none of them did harm
}
