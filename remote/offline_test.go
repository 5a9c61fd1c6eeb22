package remote_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// counted is an origin that counts what it is asked.
type counted struct {
	lists
	large
	name   string
	commit remote.Commit
	err    error
	asked  int
}

func (c *counted) Pin(context.Context, string) (remote.Commit, error) {
	c.asked++
	return c.commit, c.err
}

func (c *counted) Tree(context.Context, remote.TreeRef) (remote.Tree, error) {
	c.asked++
	return remote.Tree{}, nil
}

func (c *counted) Blob(context.Context, object.ID) (remote.Blob, error) {
	c.asked++
	return remote.Blob{}, nil
}

func (c *counted) String() string        { return c.name }
func (c *counted) Counts() remote.Counts { return remote.Counts{} }
func (c *counted) Close() error          { return nil }

func commitOf(n byte) remote.Commit {
	return remote.Commit{
		ID: object.ID{n}, Tree: object.ID{n, 1}, Time: time.Unix(1_700_000_000+int64(n), 0).UTC(), Root: []byte("not recorded"),
	}
}

func same(a, b remote.Commit) bool { return a.ID == b.ID && a.Tree == b.Tree && a.Time.Equal(b.Time) }

func TestWhatWasPinnedCanBePinnedOffline(t *testing.T) {
	pins := remote.NewPins(filepath.Join(t.TempDir(), "cache", "pins"))
	inner := &counted{name: "http://host:8000", commit: commitOf(1)}
	online := remote.Recorded(inner, pins, slog.New(slog.DiscardHandler))
	for rev, n := range map[string]byte{"": 1, "v1": 2, "new\nline": 3} {
		inner.commit = commitOf(n)
		if c, err := online.Pin(t.Context(), rev); err != nil || string(c.Root) != "not recorded" {
			t.Fatal(c, err)
		}
	}
	inner.asked = 0
	o := remote.Offline(inner, pins)
	for rev, n := range map[string]byte{
		"": 1, "v1": 2, "new\nline": 3, object.ID{1}.String(): 1, object.ID{2}.String(): 2,
	} {
		if c, err := o.Pin(t.Context(), rev); err != nil || !same(c, commitOf(n)) || c.Root != nil {
			t.Errorf("%q: %v, %v", rev, c, err)
		}
	}
	inner.commit = commitOf(9)
	if _, err := online.Pin(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if c, err := o.Pin(t.Context(), ""); err != nil || !same(c, commitOf(9)) {
		t.Errorf("the head moved, and offline it is %v, %v", c, err)
	}
	if c, err := o.Pin(t.Context(), object.ID{1}.String()); err != nil || !same(c, commitOf(1)) {
		t.Errorf("the old head is %v, %v", c, err)
	}
	if o.String() != inner.name || inner.asked != 1 {
		t.Errorf("%s was asked %d times", o, inner.asked)
	}
}

// withLists is an origin with one changelist.
type withLists struct {
	*counted
	changes []remote.Change
}

func (w *withLists) Changes(_ context.Context, link string) ([]remote.Change, error) {
	w.asked++
	if link != "CL1" {
		return nil, remote.ErrNotFound
	}
	return w.changes, nil
}

func TestAChangelistThatWasShownIsKnownOffline(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pins")
	pins := remote.NewPins(dir)
	inner := &withLists{&counted{name: "http://host:8000"}, []remote.Change{
		{Action: remote.Renamed, Path: "new \xe2\x82\xac", OldPath: "old", ID: object.ID{1}}, {Action: remote.Deleted, Path: "gone", ID: object.ID{2}},
	}}
	online := remote.Recorded(inner, pins, slog.New(slog.DiscardHandler)).(remote.Changelists)
	ask := func(o remote.Changelists, link string) []remote.Change {
		t.Helper()
		changes, err := o.Changes(t.Context(), link)
		if err != nil {
			t.Error(err)
		}
		return changes
	}
	first := slices.Clone(ask(online, "CL1"))
	offline := remote.Offline(inner, pins).(remote.Changelists)
	if got := ask(offline, "CL1"); !slices.Equal(got, first) || len(got) != 2 {
		t.Errorf("offline it does %v, and did %v", got, first)
	}
	inner.changes = inner.changes[:1]
	ask(online, "CL1")
	if got := ask(offline, "CL1"); !slices.Equal(got, first[:1]) {
		t.Errorf("after it was asked for again it does %v", got)
	}
	if _, err := online.Changes(t.Context(), "CL2"); !errors.Is(err, remote.ErrNotFound) {
		t.Error(err)
	}
	if _, err := offline.Changes(t.Context(), "CL2"); !errors.Is(err, remote.ErrNotListed) || !errors.Is(err, remote.ErrOffline) || !strings.Contains(err.Error(), `"CL2"`) {
		t.Errorf("one that was never asked for: %v", err)
	}
	if inner.asked != 3 {
		t.Errorf("%d requests", inner.asked)
	}
	if _, err := pins.Lookup(inner.name, "CL1"); !errors.Is(err, remote.ErrNotPinned) {
		t.Errorf("a changelist is taken for a revision: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	for _, damaged := range []string{"", "{", "null", `{"origin":"http://host:8000","changelist":"CL1","changes":[{"id":"xy"}]}`} {
		if err := os.WriteFile(files[0], []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := offline.Changes(t.Context(), "CL1"); !errors.Is(err, remote.ErrNotListed) {
			t.Errorf("%q: %v, %v", damaged, got, err)
		}
	}
}

func TestOfflineAsksNobody(t *testing.T) {
	inner := &counted{name: "http://host:8000"}
	o := remote.Offline(inner, remote.NewPins(t.TempDir()))
	for says, ask := range map[string]func(context.Context) error{
		"its head":       func(ctx context.Context) error { _, err := o.Pin(ctx, ""); return err },
		`revision "v1"`:  func(ctx context.Context) error { _, err := o.Pin(ctx, "v1"); return err },
		"tree /a/b":      func(ctx context.Context) error { _, err := o.Tree(ctx, remote.TreeRef{Path: "a/b"}); return err },
		"blob 0100":      func(ctx context.Context) error { _, err := o.Blob(ctx, object.ID{1}); return err },
		`changelist "X"`: func(ctx context.Context) error { _, err := o.(remote.Changelists).Changes(ctx, "X"); return err },
		"large file 020000000000": func(ctx context.Context) error {
			_, err := o.(remote.LargeFiles).LargeFile(ctx, [32]byte{2}, 1)
			return err
		},
	} {
		err := ask(t.Context())
		if !errors.Is(err, remote.ErrOffline) || !errors.Is(err, remote.ErrUnavailable) || errors.Is(err, remote.ErrNotFound) ||
			!strings.Contains(err.Error(), "http://host:8000: "+says) {
			t.Errorf("%s: %v", says, err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ask(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", says, err)
		}
	}
	if _, err := o.Tree(t.Context(), remote.TreeRef{ID: object.EmptyTree}); err != nil {
		t.Errorf("the empty tree: %v", err)
	}
	if _, ok := o.(remote.BatchSizer); ok || inner.asked != 0 {
		t.Errorf("a batch of sizes would fail as a whole; %d requests", inner.asked)
	}
}

// TestRecordsOfOthers: another origin's revisions, a failed pin and a damaged record are not what was asked for.
func TestRecordsOfOthers(t *testing.T) {
	dir := t.TempDir()
	pins := remote.NewPins(dir)
	failing := &counted{name: "a", err: remote.ErrUnknownRev, commit: commitOf(1)}
	if _, err := remote.Recorded(failing, pins, slog.New(slog.DiscardHandler)).Pin(t.Context(), "v1"); !errors.Is(err, remote.ErrUnknownRev) {
		t.Error(err)
	}
	if err := pins.Record("b", "v1", commitOf(2)); err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{"a", "b\x00v1", ""} {
		if c, err := pins.Lookup(origin, "v1"); !errors.Is(err, remote.ErrNotPinned) {
			t.Errorf("%q: %v, %v", origin, c, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{"", "{", "null", "[]", string(good[:len(good)/2]), strings.Replace(string(good), `"b"`, `"c"`, 1), strings.Replace(string(good), `02`, `x2`, 1)} {
		for _, f := range files {
			if err := os.WriteFile(f, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c, err := pins.Lookup("b", "v1"); !errors.Is(err, remote.ErrNotPinned) {
			t.Errorf("%q: %v, %v", damaged, c, err)
		}
	}
	if err := pins.Record("b", "v1", commitOf(3)); err != nil {
		t.Fatal(err)
	}
	if c, err := pins.Lookup("b", "v1"); err != nil || !same(c, commitOf(3)) {
		t.Errorf("after a new record: %v, %v", c, err)
	}
}

// TestAPinThatCannotBeRecordedIsAPin: a full or read-only disk is no reason not to mount.
func TestAPinThatCannotBeRecordedIsAPin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	o := remote.Recorded(&counted{name: "a", commit: commitOf(1)}, remote.NewPins(file), slog.New(slog.NewTextHandler(&log, nil)))
	if c, err := o.Pin(t.Context(), ""); err != nil || !same(c, commitOf(1)) || !strings.Contains(log.String(), "cannot be mounted offline") {
		t.Errorf("%v, %v, %s", c, err, log.String())
	}
	if _, err := o.(remote.Changelists).Changes(t.Context(), "X"); err != nil {
		t.Error("what else the origin can do is lost")
	}
}

func TestRecordsAreBounded(t *testing.T) {
	dir := t.TempDir()
	pins := remote.NewPins(dir)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				if err := pins.Record("a", fmt.Sprint(i, " ", j), commitOf(byte(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 1000 || len(entries) < 500 {
		t.Errorf("%d records, %v", len(entries), err)
	}
	if c, err := pins.Lookup("a", "7 199"); err == nil && !same(c, commitOf(7)) {
		t.Errorf("%v, %v", c, err)
	}
}
