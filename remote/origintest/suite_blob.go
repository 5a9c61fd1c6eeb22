package origintest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

func blobBytes(t *testing.T, f Fixture) {
	for _, path := range []string{"README.md", "empty", "bin/run.sh", "link", "binary", "no-newline", "large.bin", "odd/not-utf8-\xff\xfe"} {
		id := f.Repo.ID(t, "HEAD:"+path)
		got := readBlob(t, f, id)
		if want := f.Repo.Git(t, "cat-file", "blob", id.String()); string(got) != want {
			t.Errorf("%q: %d bytes that differ from git's %d", path, len(got), len(want))
		}
		if object.Sum(object.Blob, got) != id {
			t.Errorf("%q does not hash to its id", path)
		}
	}
}

func blobMissing(t *testing.T, f Fixture) {
	_, err := f.Origin.Blob(t.Context(), object.Sum(object.Blob, []byte("nobody has this")))
	wantError(t, "blob", err, remote.ErrNotFound)
	_, err = f.Origin.Blob(t.Context(), f.Repo.ID(t, "HEAD:dir"))
	wantError(t, "blob of a tree", err, remote.ErrNotFound)
	readBlob(t, f, f.Repo.ID(t, "HEAD:README.md"))
}

func blobGitlink(t *testing.T, f Fixture) {
	id, err := object.Parse(foreignCommit)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Origin.Blob(t.Context(), id)
	wantError(t, "blob", err, remote.ErrNotFound)
}

// blobClosedEarly leaves blobs in every state of being read, more of them than an origin has connections or processes.
func blobClosedEarly(t *testing.T, f Fixture) {
	small, big := f.Repo.ID(t, "HEAD:README.md"), f.Repo.ID(t, "HEAD:large.bin")
	for i := range 20 {
		id := small
		if i%2 == 0 {
			id = big
		}
		b, err := f.Origin.Blob(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, b, int64(i%3)); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Errorf("close early: %v", err)
		}
	}
	if n := len(readBlob(t, f, big)); n != LargeSize {
		t.Errorf("large blob after that has %d bytes, want %d", n, LargeSize)
	}
}

func concurrent(t *testing.T, f Fixture) {
	c := pin(t, f, "")
	want := lsTree(t, f.Repo, "HEAD")
	big := f.Repo.ID(t, "HEAD:large.bin")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := checkBlob(t.Context(), f.Origin, big); err != nil {
				t.Error(err)
			}
			if got := len(walkQuiet(t.Context(), f.Origin, c)); got != len(want) {
				t.Errorf("a walk beside others lists %d entries, want %d", got, len(want))
			}
		})
	}
	wg.Wait()
}

// walkQuiet counts what walk lists; it may run outside the test's goroutine.
func walkQuiet(ctx context.Context, o remote.Origin, c remote.Commit) []string {
	var paths []string
	dirs := []remote.TreeRef{{Commit: c.ID, ID: c.Tree}}
	for len(dirs) > 0 {
		ref := dirs[0]
		dirs = dirs[1:]
		tree, err := o.Tree(ctx, ref)
		if err != nil {
			return nil
		}
		entries, err := object.ParseTree(tree.Payload)
		if err != nil {
			return nil
		}
		for _, e := range entries {
			path := e.Name
			if ref.Path != "" {
				path = ref.Path + "/" + e.Name
			}
			paths = append(paths, path)
			if e.Mode == object.ModeTree {
				dirs = append(dirs, remote.TreeRef{Commit: c.ID, Path: path, ID: e.ID})
			}
		}
	}
	return paths
}

// cancelled cancels before, and in the middle of a body, and then asks again.
func cancelled(t *testing.T, f Fixture) {
	c := pin(t, f, "")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Origin.Pin(gone, "")
	wantError(t, "pin", err, context.Canceled)
	_, err = f.Origin.Tree(gone, remote.TreeRef{Commit: c.ID, ID: c.Tree})
	wantError(t, "tree", err, context.Canceled)
	big := f.Repo.ID(t, "HEAD:large.bin")
	_, err = f.Origin.Blob(gone, big)
	wantError(t, "blob", err, context.Canceled)

	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		b, err := f.Origin.Blob(ctx, big)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err = io.Copy(io.Discard, b); err != nil {
			wantError(t, "read", err, context.Canceled) // nil where all of it was here before the cancel
		}
		b.Close()
	}
	readBlob(t, f, big)
	pin(t, f, "")
}

func sizes(t *testing.T, f Fixture) {
	for _, path := range []string{"empty", "README.md", "large.bin"} {
		id := f.Repo.ID(t, "HEAD:"+path)
		want := int64(len(readBlob(t, f, id)))
		b, err := f.Origin.Blob(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		if b.Size != want && b.Size != -1 {
			t.Errorf("%s: blob says %d bytes, has %d", path, b.Size, want)
		}
		if s, ok := f.Origin.(remote.Sizer); ok {
			if n, err := s.Size(t.Context(), id); n != want || err != nil {
				t.Errorf("%s: size %d, %v, want %d", path, n, err, want)
			}
		}
	}
	if s, ok := f.Origin.(remote.Sizer); ok {
		_, err := s.Size(t.Context(), object.Sum(object.Blob, []byte("nobody has this")))
		wantError(t, "size", err, remote.ErrNotFound)
		_, err = s.Size(t.Context(), f.Repo.ID(t, "HEAD:dir"))
		wantError(t, "size of a tree", err, remote.ErrNotFound)
	}
}

func counted(t *testing.T, f Fixture) {
	pin(t, f, "")
	before := f.Origin.Counts()
	readBlob(t, f, f.Repo.ID(t, "HEAD:large.bin"))
	after := f.Origin.Counts()
	if before.Requests == 0 || after.Requests != before.Requests+1 || after.Bytes != before.Bytes+LargeSize {
		t.Errorf("a blob of %d bytes counted from %+v to %+v", LargeSize, before, after)
	}
}

func readBlob(t *testing.T, f Fixture, id object.ID) []byte {
	t.Helper()
	b, err := f.Origin.Blob(t.Context(), id)
	if err != nil {
		t.Fatalf("blob %s: %v", id, err)
	}
	defer b.Close()
	bytes, err := io.ReadAll(b)
	if err != nil {
		t.Fatalf("blob %s: %v", id, err)
	}
	return bytes
}

func checkBlob(ctx context.Context, o remote.Origin, id object.ID) error {
	b, err := o.Blob(ctx, id)
	if err != nil {
		return err
	}
	defer b.Close()
	h := object.NewHash(object.Blob, b.Size)
	if _, err := io.Copy(h, b); err != nil {
		return err
	}
	if object.ID(h.Sum(nil)) != id {
		return errors.New("a blob read beside others does not hash to " + fmt.Sprint(id))
	}
	return nil
}
