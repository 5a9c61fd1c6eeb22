package changelist_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// source is an origin that has a forest, tells sizes, and remembers what it was asked.
type source struct {
	remote.Origin
	forest *forest
	asked  []remote.TreeRef
}

func (s *source) Tree(_ context.Context, ref remote.TreeRef) (remote.Tree, error) {
	s.asked = append(s.asked, ref)
	return remote.Tree{Payload: s.forest.trees[ref.ID]}, nil
}

func (*source) Size(context.Context, object.ID) (int64, error) { return 42, nil }

func TestOriginHasTheNewTreesAndTheOthers(t *testing.T) {
	f, root := plant(base())
	r, err := changelist.Apply(t.Context(), f, root, []remote.Change{modified("lib/a", "A2")}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	inner := &source{forest: f}
	o := changelist.Origin(inner, r)
	commit := blob("a commit")
	for id, payload := range r.Trees {
		tree, err := o.Tree(t.Context(), remote.TreeRef{Commit: commit, Path: "wherever", ID: id})
		if err != nil || tree.Derived || !bytes.Equal(tree.Payload, payload) {
			t.Errorf("tree %s: %+v, %v", id, tree, err)
		}
	}
	if len(inner.asked) > 0 {
		t.Errorf("the base is asked for %+v", inner.asked)
	}
	ref := remote.TreeRef{Commit: commit, Path: "lib/deep", ID: f.at["lib/deep"]}
	if tree, err := o.Tree(t.Context(), ref); err != nil || !bytes.Equal(tree.Payload, f.trees[ref.ID]) {
		t.Errorf("a tree of the base: %+v, %v", tree, err)
	}
	if len(inner.asked) != 1 || inner.asked[0] != ref {
		t.Errorf("the base was asked for %+v, want %+v", inner.asked, ref)
	}
	if s, ok := o.(remote.Sizer); !ok {
		t.Error("the base's Sizer is lost")
	} else if n, err := s.Size(t.Context(), commit); n != 42 || err != nil {
		t.Errorf("Size = %d, %v", n, err)
	}
	if _, ok := o.(remote.LargeFiles); ok {
		t.Error("a LargeFiles out of nowhere")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.Tree(gone, remote.TreeRef{ID: r.Root}); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
}

// TestOriginCanBeStacked: a second changelist over the first, as when one is switched to another while requests for the first
// are under way.
func TestOriginCanBeStacked(t *testing.T) {
	f, root := plant(base())
	first, err := changelist.Apply(t.Context(), f, root, []remote.Change{modified("lib/a", "A2")}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	o := changelist.Origin(&source{forest: f}, first)
	second, err := changelist.Apply(t.Context(), treesOf{o}, first.Root, []remote.Change{deleted("lib/a")}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	same(t, f, second, but("lib/a", ""))
	both := changelist.Origin(o, second)
	for _, id := range []object.ID{root, first.Root, second.Root} {
		if tree, err := both.Tree(t.Context(), remote.TreeRef{ID: id}); err != nil || object.Sum(object.Tree, tree.Payload) != id {
			t.Errorf("root %s: %v", id, err)
		}
	}
}

// treesOf reads a base from an origin.
type treesOf struct{ remote.Origin }

func (o treesOf) Tree(ctx context.Context, path string, id object.ID) ([]byte, error) {
	tree, err := o.Origin.Tree(ctx, remote.TreeRef{Path: path, ID: id})
	return tree.Payload, err
}

func TestOriginOfNothingIsTheBase(t *testing.T) {
	inner := &source{}
	if o := changelist.Origin(inner, changelist.Result{}); o != remote.Origin(inner) {
		t.Errorf("%v", o)
	}
}

func TestEncodeKeepsAResult(t *testing.T) {
	f, root := plant(base())
	r, err := changelist.Apply(t.Context(), f, root, []remote.Change{
		added("odd \xff\n/name", "N"), renamed("lib/a", "bin/a", "A2"), deleted("README"),
	}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Encode(); err != nil || !bytes.Equal(again, b) {
		t.Errorf("the same result has other bytes the second time, %v", err)
	}
	got, err := changelist.Decode(b)
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v, want %+v", got, err, r)
	}
	empty, err := changelist.Result{Base: root, Root: root}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := changelist.Decode(empty); err != nil || got.Root != root || len(got.Trees) != 0 {
		t.Errorf("nothing: %+v, %v", got, err)
	}
}

// TestDecodeFindsDamage in each byte and at each length.
func TestDecodeFindsDamage(t *testing.T) {
	f, root := plant(base())
	r, err := changelist.Apply(t.Context(), f, root, []remote.Change{modified("lib/a", "A2")}, "", modes, noTexts)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= byte(1 + rand.IntN(255))
		for _, in := range [][]byte{bad, b[:i], append(bytes.Clone(b), b[i])} {
			if _, err := changelist.Decode(in); !errors.Is(err, changelist.ErrDamaged) {
				t.Fatalf("damaged at %d of %d: %v", i, len(b), err)
			}
		}
	}
}
