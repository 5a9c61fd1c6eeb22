package actors

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

// batched is an origin that tells sizes.
type batched struct{ *fakeOrigin }

func (o batched) Size(ctx context.Context, id object.ID) (int64, error) {
	b, err := o.answer(ctx, "size "+id.String(), id)
	return int64(len(b)), err
}

func (o batched) Sizes(ctx context.Context, ids []object.ID) ([]int64, error) {
	sizes := make([]int64, len(ids))
	for i, id := range ids {
		n, err := o.Size(ctx, id)
		if err != nil {
			return nil, err
		}
		sizes[i] = n
	}
	return sizes, nil
}

// TestASizeIsNotToldBeforeItIsProved: an origin that sends half of a file as if it were all leaves no half file behind.
func TestASizeIsNotToldBeforeItIsProved(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", smallBlob/16)
	r := newRig(t, withFiles(map[string]file{"d/f": {object.ModeFile, text}}))
	id := r.objectOf("d/f")
	r.origin.serve(id, text[:smallBlob/2])
	_, err := r.lookup("d/f")
	wantErr(t, "half a file", err, ErrOrigin)
	r.origin.serve(id, text)
	if a, err := r.lookup("d/f"); err != nil || a.Size != smallBlob {
		t.Errorf("%d bytes, %v", a.Size, err)
	}
	r.wantText("d/f", text)
}

// The size of a large file is told as it was announced, and may be wrong: a copy has all of the file nevertheless.
func TestACopyIsNotCutToASizeThatWasAnnounced(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", smallBlob/8)
	for name, announced := range map[string]string{"too small": text[:smallBlob+16], "too large": text + text} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, withFiles(map[string]file{"d/f": {object.ModeFile, text}}))
			id := r.objectOf("d/f")
			r.origin.serve(id, announced)
			if a, err := r.lookup("d/f"); err != nil || a.Size != int64(len(announced)) {
				t.Fatalf("%d bytes, %v", a.Size, err)
			}
			r.settleLoader() // what said the size may be under way still, and a writer would join it
			r.origin.serve(id, text)
			check(t, r.writeAt("d/f", "X", 0))
			if got, err := r.read("d/f"); err != nil || got != "X"+text[1:] {
				t.Errorf("%d bytes are read, %v", len(got), err)
			}
			told := fmt.Sprint("inode ", r.ino("d/f"))
			waitFor(t, "word to the kernel", func() bool { return r.bridge.last().wasTold(told) })
		})
	}
}

// A size that is remembered must not be the answer to a request for several.
func TestSeveralSizesAreAnsweredByAllOfThem(t *testing.T) {
	r := newRig(t)
	src := &source{origin: batched{r.origin}, content: r.store, log: r.log}
	one, two := object.Sum(object.Blob, []byte(corpus()["a/deep/big.bin"].text)), object.Sum(object.Blob, []byte("b one\n"))
	ahead := make(chan outcome, 1)
	r.engine.loader.Tell(&fetch{Source: src, Want: wantSmall, ID: one, Ahead: true, Done: func(o outcome) { ahead <- o }})
	check(t, (<-ahead).Err) // too large to be fetched ahead: its size is all that comes
	for _, ids := range [][]object.ID{{one}, {one}, {one, two}, {two, one}} {
		got := make(chan outcome, 1)
		r.engine.loader.Tell(&fetch{Source: src, Want: wantSizes, ID: ids[0], IDs: ids, Done: func(o outcome) { got <- o }})
		o := <-got
		if check(t, o.Err); len(o.Sizes) != len(ids) {
			t.Fatalf("%d sizes of %d", len(o.Sizes), len(ids))
		}
		for i, id := range ids {
			if want := int64(len(r.origin.objects[id])); o.Sizes[i] != want {
				t.Errorf("%d, want %d", o.Sizes[i], want)
			}
		}
	}
}
