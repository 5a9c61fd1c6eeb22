package actors

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

// here returns the paths of the corpus's files whose content is in the store.
func (r *rig) here() (paths []string) {
	for path, f := range corpus() {
		if _, ok := r.store.Size(object.Sum(object.Blob, []byte(f.text))); ok && f.mode != object.ModeGitlink && f.text != "" {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

func TestWarmFetchesWhatMatches(t *testing.T) {
	all := "a/deep/big.bin a/deep/x/y.txt a/link a/one.txt a/two.txt b/deep/keep.txt b/one.txt c/only.txt link run.sh top.txt"
	for pattern, want := range map[string]struct {
		files string
		trees int
	}{
		"a":            {"a/deep/big.bin a/deep/x/y.txt a/link a/one.txt a/two.txt", 3},
		"/a/deep/":     {"a/deep/big.bin a/deep/x/y.txt", 3},
		"*/one.txt":    {"a/one.txt b/one.txt", 3},
		"top.txt":      {"top.txt", 0},
		"**/*.txt":     {"a/deep/x/y.txt a/one.txt a/two.txt b/deep/keep.txt b/one.txt c/only.txt top.txt", 6},
		"{a/link,c/*}": {"a/link c/only.txt", 6},
		"b/d*":         {"b/deep/keep.txt", 2},
		".":            {all, 6},
		"**":           {all, 6},
	} {
		t.Run(pattern, func(t *testing.T) {
			r := newRig(t)
			trees := r.origin.count("tree")
			var last WarmProgress
			check(t, r.mount.Warm(t.Context(), []string{pattern}, func(p WarmProgress) { last = p }))
			if got := strings.Join(r.here(), " "); got != want.files {
				t.Errorf("here are %s, want %s", got, want.files)
			}
			if n := r.origin.count("tree") - trees; n != want.trees {
				t.Errorf("%d directories were read, want %d", n, want.trees)
			}
			if !last.Listed || last.Done != last.Files || last.Failed != 0 || last.Files == 0 || last.Bytes == 0 {
				t.Errorf("the end is %+v", last)
			}
			if st := r.mount.Stats(); st.Demand != (Fetches{}) {
				t.Errorf("on demand: %+v", st.Demand)
			}
		})
	}
}

func TestWarmSaysWhatItCannotDo(t *testing.T) {
	r := newRig(t)
	wantErr(t, "nothing matches", r.mount.Warm(t.Context(), []string{"a", "none/*"}, nil), ErrNoMatch)
	wantErr(t, "no pattern", r.mount.Warm(t.Context(), []string{"a["}, nil), ErrBadSpec)
	r.failAll(errors.New("in the way"))
	wantErr(t, "an outage", r.mount.Warm(t.Context(), []string{"b"}, nil), ErrOrigin)
	r.origin.meet(nil)
	check(t, r.mount.Warm(t.Context(), []string{"b"}, nil))
}

func TestWarmEndsWithItsCallerAndWithTheMount(t *testing.T) {
	files, _, _ := manyFiles("d", 3*pulls)
	r := newRig(t, withFiles(files), withFetches(8))
	s := newTurnstile(t, r.origin, "blob")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.mount.Warm(ctx, []string{"d"}, nil) }()
	held := s.names(aheadPart(8))
	cancel()
	wantErr(t, "warm", <-ended, context.Canceled)
	s.until(func() bool { return len(s.left) == len(held) && len(s.waiting) == 0 })

	go func() { ended <- r.mount.Warm(context.Background(), []string{"d"}, nil) }()
	s.names(aheadPart(8))
	check(t, r.mount.Unmount(context.Background()))
	if err := <-ended; !errors.Is(err, ErrUnmounted) && !errors.Is(err, ErrStopped) {
		t.Errorf("warm: %v", err)
	}
	wantErr(t, "warm", r.mount.Warm(t.Context(), []string{"d"}, nil), ErrUnmounted)
	if s.most > aheadPart(8) {
		t.Errorf("%d at once", s.most)
	}
}

// TestAPanicAnswersAWarmOnce: what the loader was about to take on, or had taken on, is not answered again when it comes.
func TestAPanicAnswersAWarmOnce(t *testing.T) {
	for when, after := range map[string]bool{"before": false, "after": true} {
		t.Run(when, func(t *testing.T) {
			var sab saboteur
			r := newRig(t, withProbe(sab.probe))
			root := func(p WarmProgress) {
				if p.Trees == 1 && !sab.hit() {
					sab.arm("loader *actors.fetch", after) // what is in it is asked for next
				}
			}
			wantErr(t, "with a panic", r.mount.Warm(t.Context(), []string{"**"}, root), ErrPanic)
			check(t, r.mount.Warm(t.Context(), []string{"**"}, nil))
		})
	}
}

func TestDemandGoesBeforeWarm(t *testing.T) {
	files, blobs, ids := manyFiles("d", 300)
	r := newRig(t, withFiles(files), withFetches(4))
	s := newTurnstile(t, r.origin, "blob")
	ended := make(chan error)
	go func() { ended <- r.mount.Warm(t.Context(), []string{"d"}, nil) }()
	held := s.names(3)
	i := slices.IndexFunc(blobs, func(b string) bool { return !slices.Contains(held, b) })
	want := r.demand(ids[i])
	s.until(func() bool { return s.waiting[blobs[i]] != nil })
	s.pass(blobs[i])
	check(t, <-want)
	if n := len(s.came()); n > 5 {
		t.Errorf("%d fetches began before", n)
	}
	s.passAll()
	check(t, <-ended)
}
