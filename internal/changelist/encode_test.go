package changelist_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/remote"
)

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
