package lfs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/lfs"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// fake is an origin in memory that serves blobs and large files.
type fake struct {
	remote.Origin
	blobs map[object.ID][]byte
	large map[[32]byte][]byte

	mu     sync.Mutex
	asked  []string                  // "blob", "large"
	hides  bool                      // the sizes of blobs
	wrap   func(io.Reader) io.Reader // what comes instead of a body
	lies   int64                     // added to a large file's size
	closed int                       // bodies
}

func newFake() *fake {
	return &fake{blobs: make(map[object.ID][]byte), large: make(map[[32]byte][]byte), wrap: func(r io.Reader) io.Reader { return r }}
}

func (*fake) String() string { return "fake" }

func (f *fake) add(b []byte) object.ID {
	id := object.Sum(object.Blob, b)
	f.blobs[id] = b
	return id
}

// addLarge adds a file of Git LFS and returns its pointer's id.
func (f *fake) addLarge(b []byte) object.ID {
	p, _ := pointerTo(b)
	f.large[p.Sum] = b
	return f.add(p.Text())
}

// counts returns how often blobs and large files were asked for since it was called last.
func (f *fake) counts() (blobs, large int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, what := range f.asked {
		if what == "blob" {
			blobs++
		} else {
			large++
		}
	}
	f.asked = nil
	return blobs, large
}

func (f *fake) answer(what string, b []byte, found bool) (remote.Blob, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what)
	if !found {
		return remote.Blob{}, remote.ErrNotFound
	}
	return remote.Blob{ReadCloser: body{f.wrap(bytes.NewReader(b)), f}, Size: int64(len(b))}, nil
}

type body struct {
	io.Reader
	of *fake
}

func (b body) Close() error {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.closed++
	return nil
}

func (f *fake) Blob(_ context.Context, id object.ID) (remote.Blob, error) {
	text, found := f.blobs[id]
	b, err := f.answer("blob", text, found)
	if f.hides && err == nil {
		b.Size = -1
	}
	return b, err
}

func (f *fake) LargeFile(_ context.Context, sum [32]byte, _ int64) (remote.Blob, error) {
	text, found := f.large[sum]
	b, err := f.answer("large", text, found)
	b.Size += f.lies
	return b, err
}

// sized is a fake that tells sizes.
type sized struct{ *fake }

func (s sized) Size(_ context.Context, id object.ID) (int64, error) {
	if b, found := s.blobs[id]; found {
		return int64(len(b)), nil
	}
	return 0, remote.ErrNotFound
}

func (s sized) Sizes(ctx context.Context, ids []object.ID) ([]int64, error) {
	var sizes []int64
	for _, id := range ids {
		n, err := s.Size(ctx, id)
		if err != nil {
			n = -1
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

func wrap(t *testing.T, base remote.Origin) (remote.Origin, *lfs.Content) {
	t.Helper()
	c := lfs.NewContent(openStore(t, t.TempDir()))
	o, err := lfs.Origin(base, c)
	ok(t, err)
	return o, c
}

// load does what a mount's source does with a blob.
func load(t *testing.T, o remote.Origin, c *lfs.Content, id object.ID) error {
	t.Helper()
	b, err := o.Blob(t.Context(), id)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = c.Put(object.Blob, id, b.Size, b)
	return err
}

func TestOriginGivesFilesForPointers(t *testing.T) {
	for name, hides := range map[string]bool{"sizes known": false, "sizes hidden": true} {
		for _, size := range []int{1, 130, 5000, cache.SmallMax + 99} {
			f := newFake()
			f.hides = hides
			want := random(1, size)
			id := f.addLarge(want)
			o, c := wrap(t, f)
			ok(t, load(t, o, c, id))
			shows(t, c, id, want)
			if blobs, large := f.counts(); blobs != 1 || large != 1 {
				t.Errorf("%s, %d bytes: asked for %d blobs and %d files", name, size, blobs, large)
			}
			if f.closed != 2 {
				t.Errorf("%s, %d bytes: %d bodies closed", name, size, f.closed)
			}
		}
	}
}

func TestOriginGivesOtherBlobsAsTheyAre(t *testing.T) {
	for _, hides := range []bool{false, true} {
		for _, want := range [][]byte{{}, []byte("x"), random(1, 126), random(2, 144), random(3, 145), random(4, 9000), random(5, cache.SmallMax+1), []byte(example)[:129]} {
			f := newFake()
			f.hides = hides
			f.wrap = iotest.HalfReader
			id := f.add(want)
			o, c := wrap(t, f)
			ok(t, load(t, o, c, id))
			shows(t, c, id, want)
			if f.closed != 1 {
				t.Errorf("%d bytes: %d bodies closed", len(want), f.closed)
			}
		}
	}
}

// TestASizeNeedsNoFile: who only wants to know how large a blob is closes it unread, and the pointer is asked for once.
func TestASizeNeedsNoFile(t *testing.T) {
	f := newFake()
	want := random(1, 1<<20)
	id := f.addLarge(want)
	o, _ := wrap(t, f)
	for range 3 {
		b, err := o.Blob(t.Context(), id)
		if err != nil || b.Size != 1<<20 {
			t.Fatalf("%d, %v", b.Size, err)
		}
		ok(t, b.Close())
		if _, err := b.Read(make([]byte, 1)); err == nil {
			t.Error("read after it was closed")
		}
	}
	if blobs, large := f.counts(); blobs != 1 || large != 0 {
		t.Errorf("asked for %d blobs and %d files", blobs, large)
	}
}

// TestSizesAreThoseOfTheFiles, from an origin that tells sizes, which looks only into what may be a pointer.
func TestSizesAreThoseOfTheFiles(t *testing.T) {
	f := newFake()
	like := bytes.Replace([]byte(example), []byte("size"), []byte("Size"), 1)
	ids := []object.ID{
		f.add(random(2, 5)), f.addLarge(random(3, 70_000)), f.add(like), f.add(random(4, 5000)),
		object.Sum(object.Blob, []byte("nowhere")), f.addLarge(random(5, 1)), f.add(random(6, 1000)),
	}
	want := []int64{5, 70_000, 130, 5000, -1, 1, 1000}
	o, c := wrap(t, sized{f})
	for range 2 {
		got, err := o.(remote.BatchSizer).Sizes(t.Context(), ids)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	}
	for i, id := range ids {
		n, err := o.(remote.Sizer).Size(t.Context(), id)
		if missing := want[i] < 0; missing != errors.Is(err, remote.ErrNotFound) || !missing && n != want[i] {
			t.Errorf("size %d is %d, %v, want %d", i, n, err, want[i])
		}
	}
	if blobs, large := f.counts(); blobs != 3 || large != 0 {
		t.Errorf("asked for %d blobs and %d files, want 3 and 0", blobs, large)
	}
	shows(t, c, ids[2], like) // what was looked into is kept
	fresh, _ := wrap(t, sized{f})
	if n, err := fresh.(remote.Sizer).Size(t.Context(), ids[1]); n != 70_000 || err != nil {
		t.Errorf("alone: %d, %v", n, err)
	}
}

func TestSizesThatCannotBeToldAreMinusOne(t *testing.T) {
	f := newFake()
	bad, good := f.addLarge(random(1, 500)), f.addLarge(random(2, 600))
	f.blobs[bad] = bytes.Replace(f.blobs[bad], []byte("500"), []byte("501"), 1) // another blob's content
	o, _ := wrap(t, sized{f})
	got, err := o.(remote.BatchSizer).Sizes(t.Context(), []object.ID{bad, good})
	if err != nil || !slices.Equal(got, []int64{-1, 600}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := o.(remote.Sizer).Size(t.Context(), bad); !errors.Is(err, cache.ErrMismatch) {
		t.Errorf("alone: %v", err)
	}
}

func TestOriginFailsWithItsSources(t *testing.T) {
	want := random(1, 5000)
	cut := errors.New("connection reset")
	for name, tt := range map[string]struct {
		spoil func(*fake, object.ID)
		want  error
	}{
		"no pointer":           {func(f *fake, id object.ID) { delete(f.blobs, id) }, remote.ErrNotFound},
		"no file":              {func(f *fake, _ object.ID) { clear(f.large) }, remote.ErrNotFound},
		"a file of other size": {func(f *fake, _ object.ID) { f.lies = 1 }, remote.ErrBadAnswer},
		"a broken pointer": {func(f *fake, _ object.ID) {
			f.wrap = func(r io.Reader) io.Reader { return io.MultiReader(io.LimitReader(r, 100), iotest.ErrReader(cut)) }
		}, cut},
		"a truncated pointer": {func(f *fake, _ object.ID) {
			f.wrap = func(r io.Reader) io.Reader {
				return io.MultiReader(io.LimitReader(r, 100), iotest.ErrReader(io.ErrUnexpectedEOF))
			}
		}, io.ErrUnexpectedEOF},
		"another pointer": {func(f *fake, id object.ID) {
			p, _ := pointerTo(random(2, 5000))
			f.blobs[id] = p.Text()
		}, cache.ErrMismatch},
		"a damaged file": {func(f *fake, _ object.ID) {
			for sum := range f.large {
				f.large[sum] = random(3, 5000)
			}
		}, cache.ErrMismatch},
		"a short file": {func(f *fake, _ object.ID) {
			for sum := range f.large {
				f.large[sum], f.lies = want[:4999], 1
			}
		}, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			id := f.addLarge(want)
			tt.spoil(f, id)
			o, c := wrap(t, f)
			if err := load(t, o, c, id); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			misses(t, c, id)
		})
	}
}

func TestOriginWithoutLargeFiles(t *testing.T) {
	f := newFake()
	if o, err := lfs.Origin(struct{ remote.Origin }{f}, lfs.NewContent(openStore(t, t.TempDir()))); !errors.Is(err, lfs.ErrNoLargeFiles) {
		t.Errorf("%v, %v", o, err)
	}
}

// TestOriginsOfOneBaseAreEqual, so that mounts that share an origin share what they fetch from it.
func TestOriginsOfOneBaseAreEqual(t *testing.T) {
	f := newFake()
	for _, base := range []remote.Origin{f, sized{f}} {
		c := lfs.NewContent(openStore(t, t.TempDir()))
		one, err := lfs.Origin(base, c)
		ok(t, err)
		two, err := lfs.Origin(base, c)
		ok(t, err)
		if one != two || map[remote.Origin]bool{one: true}[two] != true {
			t.Error("they differ")
		}
		if _, sizes := base.(remote.Sizer); sizes != implements[remote.Sizer](one) || sizes != implements[remote.BatchSizer](one) ||
			!implements[remote.LargeFiles](one) || implements[remote.Changelists](one) {
			t.Errorf("%T cannot do what it should, or more", base)
		}
	}
}

func implements[T any](o remote.Origin) bool {
	_, yes := o.(T)
	return yes
}

// TestContract: what is no pointer comes as without LFS, whatever the origin.
func TestContract(t *testing.T) {
	origintest.Run(t, func(t *testing.T) origintest.Fixture {
		repo := origintest.NewRepo(t)
		r, err := gitrepo.Open(t.Context(), repo.Dir)
		ok(t, err)
		o, _ := wrap(t, r)
		return origintest.Fixture{Repo: repo, Origin: o}
	})
}
