package actors

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
)

// withProfile has mounts use profiles in a directory, and fetch nothing ahead but what those say.
func withProfile(dir, name string, o *fakeOrigin) option {
	return func(c *Config, r *rig) {
		withPrefetch(-1)(c, r)
		c.Profiles, r.profile = dir, name
		r.origin = o
	}
}

// build reads every third file of a repository, in an order of its own, and looks at the sizes of some others.
func (r *rig) build(files map[string]file) (read int) {
	paths := slices.Sorted(maps.Keys(files))
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for i, path := range paths {
		switch i % 6 {
		case 0, 3:
			r.wantText(path, files[path].text)
			read++
		case 1:
			_, err := r.lookup(path)
			check(r.t, err)
			read++
		}
	}
	return read
}

// coldRun mounts with an empty content store, and builds with every blob held up until the job waits for something.
func coldRun(t *testing.T, dir string, o *fakeOrigin, files map[string]file) (st Stats, blobs int) {
	t.Run("build", func(t *testing.T) {
		r := newEngine(t, withProfile(dir, "//app:all", o))
		asked := o.count("blob")
		s := newTurnstile(t, o, "blob")
		check(t, r.mountAgain())
		if len(r.fs.core.profile.older) > 0 {
			s.names(aheadPart(defaultFetches)) // it races the job, and has begun before
		}
		r.rounds(s, func() { r.build(files) })
		s.passAll()
		waitFor(t, "the end", r.idle)
		st = r.mount.Stats()
		r.forgetAll()
		check(t, r.mount.Unmount(context.Background()))
		blobs = o.count("blob") - asked
	})
	return st, blobs
}

func TestASecondColdBuildWithAProfileWaitsForNearlyNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "profiles")
	files := repository(40, 60)
	o := newOrigin(files)
	first, asked := coldRun(t, dir, o, files)
	if first.Demand.Blobs != uint64(asked) || first.Prefetch.Blobs != 0 {
		t.Errorf("without a profile: %+v, %+v", first.Demand, first.Prefetch)
	}
	second, again := coldRun(t, dir, o, files)
	t.Logf("%d of %d blobs on demand", second.Demand.Blobs, again)
	if second.Demand.Blobs*50 >= uint64(again) || again != asked {
		t.Errorf("%d on demand of %d blobs; the first build had %d", second.Demand.Blobs, again, asked)
	}
}

func TestAProfileServesAnotherCommit(t *testing.T) {
	dir := t.TempDir()
	files := repository(20, 60)
	_, asked := coldRun(t, dir, newOrigin(files), files)
	later := maps.Clone(files)
	for path, f := range files { // each file is another one, and some are gone
		if f.text += " later"; strings.HasSuffix(path, "7") {
			delete(later, path)
			continue
		}
		later[path] = f
	}
	r := newEngine(t, withProfile(dir, "//app:all", newOrigin(later)))
	s := newTurnstile(t, r.origin, "blob")
	check(t, r.mountAgain())
	s.names(aheadPart(defaultFetches))
	s.passAll()
	waitFor(t, "the replay", func() bool { return r.idle() && r.mount.Stats().Prefetch.Blobs >= uint64(asked)*8/10 })
	before := r.origin.count("blob")
	for path, f := range later {
		if _, ok := r.store.Size(object.Sum(object.Blob, []byte(f.text))); ok {
			r.wantText(path, f.text)
		}
	}
	if n := r.origin.count("blob"); n != before || n < asked*8/10 || n > asked {
		t.Errorf("%d blobs were fetched, %d of them on demand; the profile has %d", n, n-before, asked)
	}
}

func TestWhatIsNotUsedAnyMoreLeavesTheProfile(t *testing.T) {
	dir := t.TempDir()
	o := newOrigin(repository(1, 10))
	run := func(name string) []string {
		t.Run("run", func(t *testing.T) {
			r := newEngine(t, withProfile(dir, "n", o))
			check(t, r.mountAgain())
			_, err := r.read("d000/" + name)
			check(t, err)
			check(t, r.mount.Unmount(context.Background()))
		})
		f, err := os.Open(filepath.Join(dir, "n.profile"))
		check(t, err)
		defer func() { _ = f.Close() }()
		root, uses, err := readProfile(f)
		check(t, err)
		if root != o.commit.Tree {
			t.Errorf("the root is %s", root)
		}
		var names []string
		for _, u := range uses {
			if u.Kind != profileTree {
				names = append(names, filepath.Base(u.Path))
			}
		}
		return slices.Compact(names)
	}
	run("f001")
	for range profileAge {
		if got := run("f002"); !slices.Equal(got, []string{"f002", "f001"}) {
			t.Errorf("the profile has %v", got)
		}
	}
	if got := run("f002"); !slices.Equal(got, []string{"f002"}) {
		t.Errorf("the profile has %v", got)
	}
}

func TestADamagedProfileBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	o := newOrigin(corpus())
	path := filepath.Join(dir, profileFile("a/b"))
	for _, damage := range []string{"", "no profile", "\x1f\x8b\x08"} {
		check(t, os.WriteFile(path, []byte(damage), 0o600))
		t.Run(fmt.Sprintf("%q", damage), func(t *testing.T) {
			var log bytes.Buffer
			r := newEngine(t, withProfile(dir, "a/b", o), withLog(&log))
			check(t, r.mountAgain())
			r.wantText("top.txt", "top\n")
			check(t, r.mount.Unmount(context.Background()))
			if !strings.Contains(log.String(), "begins anew") {
				t.Errorf("no word of it: %s", log.String())
			}
			if p := loadProfile(dir, "a/b", r.log); len(p.older) < 2 {
				t.Errorf("the new one has %d entries", len(p.older))
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".profile*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAProfileIsBounded(t *testing.T) {
	long := strings.Repeat("x", 200)
	var all []profileUse
	for i := range 120_000 {
		all = append(all, profileUse{Path: fmt.Sprintf("%06d%s", i, long), Kind: profileRead})
	}
	_, got, err := decodeProfile(encodeProfile(object.ID{}, all))
	if err != nil || len(got) == 0 || len(got) >= len(all) || !slices.Equal(got, all[:len(got)]) {
		t.Errorf("%d entries of %d, %v", len(got), len(all), err)
	}
	p := &profile{known: make(map[profileKey]struct{})}
	for i := range profileMost + 1 {
		p.older = append(p.older, profileUse{Path: fmt.Sprint(i)})
	}
	if n := len(p.merged()); n != profileMost {
		t.Errorf("%d entries", n)
	}
	spec := MountSpec{Origin: newOrigin(nil), Mountpoint: "/m", Upper: "/u", Profile: long + long}
	wantErr(t, "a long name", spec.check(), ErrBadSpec)
}

// FuzzProfile: whatever a file holds, reading it does not panic, and what is accepted is written again as it is.
func FuzzProfile(f *testing.F) {
	f.Add(encodeProfile(object.ID{1}, []profileUse{{Path: "a", Kind: profileTree}, {Path: "a/b", Kind: profileRead, Age: 2}}))
	f.Add([]byte(profileMagic + "01234567890123456789\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		root, all, err := decodeProfile(b)
		if err != nil {
			return
		}
		if root2, again, err := decodeProfile(encodeProfile(root, all)); err != nil || root2 != root || !slices.Equal(again, all) {
			t.Fatalf("%v became %v, %v", all, again, err)
		}
	})
}
