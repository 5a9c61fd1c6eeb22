package gitrepo_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// TestSizesOfManyBlobs asks for more than one chunk, with ids in between that are no blobs here.
func TestSizesOfManyBlobs(t *testing.T) {
	repo := origintest.NewRepo(t)
	var ids []object.ID
	var want []int64
	for i := range 600 {
		content := strings.Repeat("x", i)
		repo.Write(t, "dir/"+strings.Repeat("n", i%200+1)+string(rune('a'+i/200)), content, 0o644)
		ids, want = append(ids, object.Sum(object.Blob, []byte(content))), append(want, int64(i))
	}
	repo.Commit(t, "many sizes")
	r, err := gitrepo.Open(context.Background(), repo.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	c, err := r.Pin(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	ids = slices.Insert(ids, 300, object.Sum(object.Blob, []byte("nowhere")), c.Tree)
	want = slices.Insert(want, 300, -1, -1)
	for range 2 { // the process must be left fit for use
		got, err := r.Sizes(context.Background(), ids)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("Sizes = %v, %v; want %v", got, err, want)
		}
	}
}
