package actors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/lfs"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// lfsOrigin is a fake origin that serves Git LFS.
type lfsOrigin struct {
	*fakeOrigin
	large map[[32]byte]string // protected by fakeOrigin.mu
}

func (o *lfsOrigin) LargeFile(ctx context.Context, sum [32]byte, _ int64) (remote.Blob, error) {
	o.mu.Lock()
	text, ok := o.large[sum]
	o.asked[fmt.Sprintf("large %x", sum)]++
	o.mu.Unlock()
	if !ok {
		return remote.Blob{}, remote.ErrNotFound
	}
	return remote.Blob{ReadCloser: io.NopCloser(bytes.NewReader([]byte(text))), Size: int64(len(text))}, ctx.Err()
}

// put has the origin serve a file; it returns the pointer's text.
func (o *lfsOrigin) put(text string) string {
	p := lfs.Pointer{Sum: sha256.Sum256([]byte(text)), Size: int64(len(text))}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.large[p.Sum] = text
	return string(p.Text())
}

// sizedLFS tells sizes as well.
type sizedLFS struct{ *lfsOrigin }

func (o sizedLFS) Size(ctx context.Context, id object.ID) (int64, error) {
	b, err := o.answer(ctx, "size "+id.String(), id)
	return int64(len(b)), err
}

func (o sizedLFS) Sizes(ctx context.Context, ids []object.ID) ([]int64, error) {
	sizes := make([]int64, len(ids))
	for i, id := range ids {
		n, err := o.Size(ctx, id)
		if sizes[i] = n; err != nil {
			sizes[i] = -1
		}
	}
	return sizes, nil
}

// The files of the tests below: one that is fetched when its size is asked for, and two that are not.
var (
	lfsLarge = strings.Repeat("large ", smallBlob)
	lfsMore  = strings.Repeat("more ", smallBlob)
)

const lfsSmall = "small"

// lfsRig mounts them and others.
func lfsRig(t *testing.T, sizes bool) (*rig, *lfsOrigin) {
	t.Helper()
	o := &lfsOrigin{large: make(map[[32]byte]string), fakeOrigin: newOrigin(nil)}
	files := map[string]file{
		"d/large": {object.ModeFile, o.put(lfsLarge)}, "d/more": {object.ModeExec, o.put(lfsMore)}, "d/small": {object.ModeFile, o.put(lfsSmall)},
		"d/plain": {object.ModeFile, "plain"}, "d/like": {object.ModeFile, strings.Replace(o.put("x"), "size", "Size", 1)},
		"d/link": {object.ModeSymlink, "large"},
	}
	o.fakeOrigin = newOrigin(files)
	r := newEngine(t, withFiles(files))
	r.origin = o.fakeOrigin
	r.kernel = r.mountLFS(r.lfsSpec(o, sizes))
	return r, o
}

func (r *rig) lfsSpec(o *lfsOrigin, sizes bool) MountSpec {
	spec := r.spec()
	spec.Origin, spec.LFS = o, true
	if sizes {
		spec.Origin = sizedLFS{o}
	}
	return spec
}

func (r *rig) mountLFS(spec MountSpec) *kernel {
	r.t.Helper()
	m, err := r.engine.Mount(r.t.Context(), spec)
	check(r.t, err)
	return &kernel{t: r.t, fs: m.FS(), known: make(map[uint64]uint64)}
}

// eachLFS runs a test with an origin that tells sizes and with one that does not.
func eachLFS(t *testing.T, test func(*testing.T, *rig, *lfsOrigin)) {
	for name, sizes := range map[string]bool{"sizes from contents": false, "sizes from the origin": true} {
		t.Run(name, func(t *testing.T) {
			r, o := lfsRig(t, sizes)
			test(t, r, o)
		})
	}
}

func (k *kernel) wantSize(path string, want int) {
	k.t.Helper()
	a, err := k.fs.Getattr(nobodyWaits, k.ino(path))
	check(k.t, err)
	if a.Size != int64(want) {
		k.t.Errorf("%s has %d bytes, want %d", path, a.Size, want)
	}
}

func TestFilesOfGitLFSShowInsteadOfPointers(t *testing.T) {
	eachLFS(t, func(t *testing.T, r *rig, o *lfsOrigin) {
		for path, text := range map[string]string{"d/large": lfsLarge, "d/more": lfsMore, "d/small": lfsSmall, "d/plain": "plain"} {
			r.wantSize(path, len(text))
		}
		if n := o.count("large"); n > 1 {
			t.Errorf("%d files were fetched for their sizes, want the small one at most", n)
		}
		for range 2 {
			for path, text := range map[string]string{"d/large": lfsLarge, "d/more": lfsMore, "d/small": lfsSmall, "d/plain": "plain"} {
				r.wantText(path, text)
			}
		}
		if n := o.count("large"); n != 3 {
			t.Errorf("%d files were fetched, want 3, once each", n)
		}
		if text, err := r.read("d/like"); err != nil || !strings.HasPrefix(text, "version https") {
			t.Errorf("what looks like a pointer is %q, %v", text, err)
		}
		if target, err := r.readlink("d/link"); err != nil || target != "large" {
			t.Errorf("the link leads to %q, %v", target, err)
		}
	})
}

// TestMountsWithAndWithoutGitLFSShareAStore: each sees what it asked for, whoever is first.
func TestMountsWithAndWithoutGitLFSShareAStore(t *testing.T) {
	r, o := lfsRig(t, false)
	r.wantText("d/large", lfsLarge)
	spec := r.spec()
	spec.Origin, spec.Upper = o, spec.Upper+"2"
	plain := r.mountLFS(spec)
	plain.wantText("d/large", o.put(lfsLarge))
	plain.wantText("d/more", o.put(lfsMore))
	plain.wantSize("d/small", len(o.put(lfsSmall)))
	r.wantSize("d/more", len(lfsMore))
	r.wantText("d/more", lfsMore)
	r.wantText("d/large", lfsLarge)
	spec = r.lfsSpec(o, false)
	spec.Upper += "3"
	asked := o.count("large")
	again := r.mountLFS(spec)
	again.wantText("d/large", lfsLarge)
	again.wantText("d/more", lfsMore)
	if n := o.count("large") - asked; n > 0 {
		t.Errorf("a second mount with LFS fetched %d files again", n)
	}
}

func TestCopyUpBringsTheFileNotThePointer(t *testing.T) {
	eachLFS(t, func(t *testing.T, r *rig, o *lfsOrigin) {
		check(t, r.writeAt("d/large", "X", 5))
		r.wantText("d/large", lfsLarge[:5]+"X"+lfsLarge[6:])
		check(t, r.chmod("d/small", 0o600))
		r.wantText("d/small", lfsSmall)
		check(t, r.truncate("d/more", 0))
		r.wantText("d/more", "")
		for sum := range o.large {
			if o.large[sum] == lfsMore && o.count(fmt.Sprintf("large %x", sum)) > 0 {
				t.Error("a file that was cut off was fetched")
			}
		}
	})
}

// TestAFileOfGitLFSThatIsNotThere: it has its size, and reading it is an error until the origin has it.
func TestAFileOfGitLFSThatIsNotThere(t *testing.T) {
	eachLFS(t, func(t *testing.T, r *rig, o *lfsOrigin) {
		o.mu.Lock()
		clear(o.large)
		o.mu.Unlock()
		r.wantSize("d/large", len(lfsLarge))
		_, err := r.read("d/large")
		wantErr(t, "read", err, ErrOrigin)
		wantErr(t, "write", r.writeAt("d/large", "x", 0), ErrOrigin)
		o.put(lfsLarge)
		r.wantText("d/large", lfsLarge)
	})
}

func TestGitLFSNeedsAnOriginThatServesIt(t *testing.T) {
	r := newEngine(t)
	spec := r.spec()
	spec.LFS = true
	_, err := r.engine.Mount(t.Context(), spec)
	wantErr(t, "mount", err, ErrBadSpec)
	wantErr(t, "mount", err, lfs.ErrNoLargeFiles)
}
