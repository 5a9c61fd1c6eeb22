package remote_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// plain is an origin that can do nothing.
type plain struct{ remote.Origin }

func (plain) String() string { return "inner" }

// wrapper answers for its own name only.
type wrapper struct{ remote.Origin }

func (wrapper) String() string { return "outer" }

type (
	sizer   struct{}
	batch   struct{}
	lists   struct{}
	large   struct{}
	tooWise struct{ remote.Origin }
)

func (sizer) Size(context.Context, object.ID) (int64, error)      { return 1, nil }
func (batch) Sizes(context.Context, []object.ID) ([]int64, error) { return []int64{2}, nil }
func (lists) Changes(context.Context, string) ([]remote.Change, error) {
	return make([]remote.Change, 3), nil
}
func (large) LargeFile(context.Context, [32]byte, int64) (remote.Blob, error) {
	return remote.Blob{Size: 4}, nil
}
func (tooWise) Size(context.Context, object.ID) (int64, error) { return 5, nil }

// inners are origins with every choice of optional interfaces, by which they have: sizer, batch, lists, large.
func inners() map[[4]bool]remote.Origin {
	type (
		s = sizer
		b = batch
		c = lists
		l = large
	)
	return map[[4]bool]remote.Origin{
		{}: plain{},
		{true, false, false, false}: struct {
			plain
			s
		}{}, {false, true, false, false}: struct {
			plain
			b
		}{},
		{false, false, true, false}: struct {
			plain
			c
		}{}, {false, false, false, true}: struct {
			plain
			l
		}{},
		{true, true, false, false}: struct {
			plain
			s
			b
		}{}, {true, false, true, false}: struct {
			plain
			s
			c
		}{},
		{true, false, false, true}: struct {
			plain
			s
			l
		}{}, {false, true, true, false}: struct {
			plain
			b
			c
		}{},
		{false, true, false, true}: struct {
			plain
			b
			l
		}{}, {false, false, true, true}: struct {
			plain
			c
			l
		}{},
		{true, true, true, false}: struct {
			plain
			s
			b
			c
		}{}, {true, true, false, true}: struct {
			plain
			s
			b
			l
		}{},
		{true, false, true, true}: struct {
			plain
			s
			c
			l
		}{}, {false, true, true, true}: struct {
			plain
			b
			c
			l
		}{},
		{true, true, true, true}: struct {
			plain
			s
			b
			c
			l
		}{},
	}
}

// TestDecorateKeepsWhatTheInnerOriginCanDo: exactly that, and the answers are the inner origin's.
func TestDecorateKeepsWhatTheInnerOriginCanDo(t *testing.T) {
	for want, inner := range inners() {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			o := remote.Decorate(wrapper{inner}, inner)
			if o.String() != "outer" {
				t.Errorf("the wrapper is lost: %s", o)
			}
			s, isSizer := o.(remote.Sizer)
			b, isBatch := o.(remote.BatchSizer)
			c, isLists := o.(remote.Changelists)
			l, isLarge := o.(remote.LargeFiles)
			if got := [4]bool{isSizer, isBatch, isLists, isLarge}; got != want {
				t.Fatalf("can do %v, want %v", got, want)
			}
			if isSizer {
				if n, err := s.Size(t.Context(), object.ID{}); n != 1 || err != nil {
					t.Errorf("Size = %d, %v", n, err)
				}
			}
			if isBatch {
				if n, err := b.Sizes(t.Context(), nil); len(n) != 1 || n[0] != 2 || err != nil {
					t.Errorf("Sizes = %v, %v", n, err)
				}
			}
			if isLists {
				if n, err := c.Changes(t.Context(), ""); len(n) != 3 || err != nil {
					t.Errorf("Changes = %v, %v", n, err)
				}
			}
			if isLarge {
				if n, err := l.LargeFile(t.Context(), [32]byte{}, 0); n.Size != 4 || err != nil {
					t.Errorf("LargeFile = %v, %v", n, err)
				}
			}
		})
	}
}

func TestDecorateLetsTheOuterOriginAnswer(t *testing.T) {
	for want, inner := range inners() {
		s, ok := remote.Decorate(tooWise{inner}, inner).(remote.Sizer)
		if !ok {
			t.Fatalf("%v: no Sizer", want)
		}
		if n, err := s.Size(t.Context(), object.ID{}); n != 5 || err != nil {
			t.Errorf("%v: Size = %d, %v", want, n, err)
		}
	}
}
