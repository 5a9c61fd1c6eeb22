package actors

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// syncPoint is a message that no actor knows; the probe runs Do in its place.
type syncPoint struct{ Do func() }

// withPrefetch has the mount fetch ahead, and lets a test look into actors.
func withPrefetch(budget int64) option {
	return func(c *Config, r *rig) {
		r.ahead = budget
		c.probe = func(_ string, msg any) func() {
			switch m := msg.(type) {
			case *syncPoint:
				m.Do()
			case *fetch:
				if m.Want == wantSmall && m.Ahead {
					r.aheadAsked.Add(1)
				}
			case *aheadFetched:
				r.seen.Store(m.Piece.frame.walk.p)
			}
			return nil
		}
	}
}

// in runs f where an actor's state is not changing.
func in(h *handle, f func()) {
	done := make(chan struct{})
	h.Tell(&syncPoint{Do: func() { f(); close(done) }})
	<-done
}

// rounds runs a job that does one thing after another. Each time that it waits for something, everything that is under way
// comes at once. It returns how often that was: how many round trips the job took.
func (r *rig) rounds(s *turnstile, job func()) (n int) {
	in(r.engine.loader, func() { r.engine.traffic.limit.samples = math.MinInt }) // how long answers take here says nothing
	done := make(chan struct{})
	go func() { defer close(done); job() }()
	for {
		waitForNone(busy)
		select {
		case <-done:
			return n
		default:
		}
		s.mu.Lock()
		if len(s.waiting) > 0 {
			n++
		}
		for name, answer := range s.waiting {
			answer <- nil
			delete(s.waiting, name)
		}
		s.mu.Unlock()
	}
}

// busy tells of a goroutine whether it has something to do, and waits for nobody. Who asks is not busy.
func busy(stack string) bool {
	header, _, _ := strings.Cut(stack, "\n")
	for _, state := range []string{"[running", "[runnable", "[syscall"} {
		if strings.Contains(header, state) {
			return !strings.Contains(stack, "waitForNone") && !strings.Contains(stack, "os/signal.")
		}
	}
	return false
}

// repository has so many directories of so many small files each.
func repository(dirs, files int) map[string]file {
	all := make(map[string]file)
	for d := range dirs {
		for f := range files {
			all[fmt.Sprintf("d%03d/f%03d", d, f)] = file{object.ModeFile, fmt.Sprintf("content of %d %d", d, f)}
		}
	}
	return all
}

// walkAll visits all below a directory as tar does: what is listed, in that order, one after the other.
func (r *rig) walkAll(ino uint64, visit func(path string, ino uint64), path string) {
	var entries []DirEntry
	check(r.t, r.fs.Readdir(nobodyWaits, ino, Cursor{}, func(e DirEntry) bool {
		entries = append(entries, e)
		return true
	}))
	for _, e := range entries {
		if e.Name == "." || e.Name == ".." {
			continue
		}
		below := strings.TrimPrefix(path+"/"+e.Name, "/")
		if e.Type == unix.S_IFDIR {
			a, err := r.fs.Lookup(nobodyWaits, ino, e.Name)
			check(r.t, err)
			r.walkAll(a.Ino, visit, below)
			continue
		}
		if visit == nil {
			continue
		}
		a, err := r.fs.Lookup(nobodyWaits, ino, e.Name)
		check(r.t, err)
		visit(below, a.Ino)
	}
}

func (r *rig) readAll(_ string, ino uint64) {
	p := make([]byte, 100)
	if n, err := r.fs.Read(nobodyWaits, ino, p, 0); err != nil || !strings.HasPrefix(string(p[:n]), "content of") {
		r.t.Errorf("%q, %v", p[:n], err)
	}
}

func TestListingADirectoryWithSizesTakesAFewRoundTrips(t *testing.T) {
	r := newRig(t, withFiles(repository(1, 200)), withPrefetch(0))
	s := newTurnstile(t, r.origin, "blob")
	n := r.rounds(s, func() {
		r.walkAll(r.ino("d000"), func(string, uint64) {}, "")
	})
	if n > 12 {
		t.Errorf("%d round trips", n)
	}
	t.Logf("%d round trips", n)
	if asked := r.origin.count("blob"); asked != 200 {
		t.Errorf("%d requests for 200 blobs", asked)
	}
}

func TestReadingATreeInItsOrderKeepsAllPlacesBusy(t *testing.T) {
	const dirs, files = 120, 10
	r := newRig(t, withFiles(repository(dirs, files)), withPrefetch(0))
	s := newTurnstile(t, r.origin, "")
	n := r.rounds(s, func() { r.walkAll(tree.RootIno, r.readAll, "") })
	if ideal := (dirs*files + dirs) / aheadPart(defaultFetches); n > 2*ideal {
		t.Errorf("%d round trips; with all places busy there are %d", n, ideal)
	}
	t.Logf("%d round trips", n)
	if asked := r.origin.count(""); asked != 2+dirs+dirs*files {
		t.Errorf("%d requests", asked)
	}
	if st := r.mount.Stats(); st.Hits < dirs*files*9/10 || st.Demand.Blobs > dirs {
		t.Errorf("%d hits, %d blobs on demand", st.Hits, st.Demand.Blobs)
	}
	r.settle() // what was answered has been told
	var held int64
	var frames int
	in(r.fs.core.prefetcher, func() { p := r.prefetchState(); held, frames = p.held, len(p.frames) })
	if held != 0 || frames > 2*lingering {
		t.Errorf("holds %d bytes and %d directories when all is used", held, frames)
	}
}

// TestSizesThatCameWithAListingWereUsed: the kernel asks for nothing that READDIRPLUS has told.
func TestSizesThatCameWithAListingWereUsed(t *testing.T) {
	const dirs, files = 300, 10
	r := newRig(t, withFiles(repository(dirs, files)), withPrefetch(0))
	s := newTurnstile(t, r.origin, "")
	n := r.rounds(s, func() {
		check(t, r.fs.Readdir(nobodyWaits, tree.RootIno, Cursor{}, func(e DirEntry) bool {
			if !strings.HasPrefix(e.Name, "d") {
				return true
			}
			dir, err := r.fs.Lookup(nobodyWaits, tree.RootIno, e.Name)
			check(t, err)
			check(t, r.fs.Readdir(nobodyWaits, dir.Ino, Cursor{}, func(e DirEntry) bool {
				if _, known := r.fs.LookupKnown(nobodyWaits, dir.Ino, e.Name, true); !known && e.Type == unix.S_IFREG {
					_, err := r.fs.Lookup(nobodyWaits, dir.Ino, e.Name)
					check(t, err)
				}
				return true
			}))
			return true
		}))
	})
	if ideal := (dirs*files + dirs) / aheadPart(defaultFetches); n > 2*ideal {
		t.Errorf("%d round trips; with all places busy there are %d", n, ideal)
	}
	t.Logf("%d round trips", n)
}

func TestNamesAloneAskForNoContent(t *testing.T) {
	const dirs = 150
	r := newRig(t, withFiles(repository(dirs, 5)), withPrefetch(0))
	s := newTurnstile(t, r.origin, "")
	n := r.rounds(s, func() { r.walkAll(tree.RootIno, nil, "") })
	if n > 20 {
		t.Errorf("%d round trips", n)
	}
	t.Logf("%d round trips", n)
	if trees, blobs := r.origin.count("tree"), r.origin.count("blob"); trees != dirs+1 || blobs != 0 {
		t.Errorf("%d trees and %d blobs of %d directories", trees, blobs, dirs)
	}
	if s.most > defaultFetches {
		t.Errorf("%d at once", s.most)
	}
}

// What the store has is not asked for, but where it ends, prefetch begins. The half that a job sees last is not stored.
func TestPrefetchLeavesAloneWhatIsStored(t *testing.T) {
	const dirs, files = 120, 10
	all := repository(dirs, files)
	r := newRig(t, withFiles(all), withPrefetch(0))
	var seen int
	check(t, r.fs.Readdir(nobodyWaits, tree.RootIno, Cursor{}, func(e DirEntry) bool {
		if seen++; seen > dirs/2 {
			return true
		}
		for path, f := range all {
			if strings.HasPrefix(path, e.Name+"/") {
				check(t, r.store.PutBytes(object.Blob, object.Sum(object.Blob, []byte(f.text)), []byte(f.text)))
			}
		}
		return true
	}))
	r.walkAll(tree.RootIno, nil, "") // and all listings
	check(t, r.mount.Unmount(t.Context()))
	check(t, r.mountAgain())
	s := newTurnstile(t, r.origin, "blob")
	before := r.aheadAsked.Load()
	seen = 0
	n := r.rounds(s, func() {
		r.walkAll(tree.RootIno, func(path string, ino uint64) {
			r.readAll(path, ino)
			if seen++; seen < dirs*files/3 { // no faster than the prefetcher
				waitFor(t, "what was asked for ahead", func() bool {
					in(r.fs.core.prefetcher, func() {})
					return r.idle()
				})
				in(r.fs.core.prefetcher, func() {})
			}
		}, "")
	})
	asked := int(r.aheadAsked.Load() - before)
	t.Logf("%d asked for ahead, %d round trips", asked, n)
	if most := dirs*files/2 + 2*localRun + dirs*files/2/lookEach; asked > most {
		t.Errorf("%d asked for ahead; want at most %d", asked, most)
	}
	if ideal := dirs * files / 2 / aheadPart(defaultFetches); n > 3*ideal {
		t.Errorf("%d round trips; with all places busy there are %d", n, ideal)
	}
}

// A job that uses one file of each directory teaches that siblings are not wanted.
func TestPrefetchThatIsUselessEnds(t *testing.T) {
	const dirs = 200
	r := newRig(t, withFiles(repository(dirs, 20)), withPrefetch(0))
	for d := range dirs {
		_, err := r.read(fmt.Sprintf("d%03d/f%03d", d, d%20))
		check(t, err)
	}
	waitFor(t, "the end", func() bool { in(r.fs.core.prefetcher, func() {}); r.settle(); return r.idle() })
	st := r.mount.Stats()
	t.Logf("%d prefetched, %d on demand", st.Prefetch.Blobs, st.Demand.Blobs)
	if st.Prefetch.Blobs > dirs*2 || st.Demand.Blobs+st.Joined < dirs/2 {
		t.Errorf("%d prefetched for %d files", st.Prefetch.Blobs, dirs)
	}
	in(r.fs.core.prefetcher, func() {})
	// And one that uses all of a directory finds prefetch again.
	s := newTurnstile(t, r.origin, "blob")
	if n := r.rounds(s, func() { r.walkAll(r.ino("d000"), r.readAll, "") }); n > 15 {
		t.Errorf("%d round trips for 19 files", n)
	}
}

func TestPrefetchKeepsItsBudget(t *testing.T) {
	files := make(map[string]file)
	for i := range 60 {
		files[fmt.Sprintf("d/f%02d", i)] = file{object.ModeFile, "content of " + strings.Repeat(fmt.Sprintf("%02d", i), 100_000)}
	}
	const budget = 1 << 20
	r := newRig(t, withFiles(files), withPrefetch(budget))
	most := 0
	s := newTurnstile(t, r.origin, "blob")
	s.passAll()
	for i := range 12 { // the others are not used
		_, err := r.read(fmt.Sprintf("d/f%02d", i))
		check(t, err)
		var held int64
		in(r.fs.core.prefetcher, func() {
			if p := r.prefetchState(); p != nil {
				held = p.held
			}
		})
		if held > budget {
			t.Errorf("%d bytes held", held)
		}
		most = max(most, int(held))
	}
	waitFor(t, "the end", func() bool { in(r.fs.core.prefetcher, func() {}); r.settle(); return r.idle() })
	if st := r.mount.Stats(); st.Prefetch.Bytes > st.Hits*200_011+budget || most == 0 {
		t.Errorf("%d bytes fetched ahead, %d hits", st.Prefetch.Bytes, st.Hits)
	}
}

func TestPrefetchIsOff(t *testing.T) {
	r := newRig(t, withFiles(repository(5, 5)))
	r.walkAll(tree.RootIno, r.readAll, "")
	r.settleLoader() // a reader may have the bytes before they are counted
	if st := r.mount.Stats(); st.Prefetch != (Fetches{}) || r.fs.core.prefetcher != nil || st.Demand.Blobs != 25 {
		t.Errorf("%+v", st)
	}
}

func TestALargeSiblingIsNotReadAndItsSizeIsKept(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 40_000)
	r := newRig(t, withFiles(map[string]file{
		"d/big": {object.ModeFile, big}, "d/a": {object.ModeFile, "a"}, "d/b": {object.ModeFile, "b"},
	}), withPrefetch(0))
	for _, name := range []string{"a", "b"} {
		r.wantText("d/"+name, name)
	}
	waitFor(t, "its size", func() bool { return r.origin.count("blob") == 3 })
	waitFor(t, "the end", func() bool { in(r.fs.core.prefetcher, func() {}); r.settle(); return r.idle() })
	if a, err := r.lookup("d/big"); err != nil || a.Size != int64(len(big)) {
		t.Errorf("%d, %v", a.Size, err)
	}
	other := r.another(0)
	if a, err := other.lookup("d/big"); err != nil || a.Size != int64(len(big)) {
		t.Errorf("%d, %v", a.Size, err)
	}
	if n := r.origin.count("blob"); n != 3 {
		t.Errorf("%d requests", n)
	}
	if st := r.mount.Stats(); st.Prefetch.Bytes+st.Demand.Bytes > 1000 {
		t.Errorf("%+v, %+v: its content came", st.Prefetch, st.Demand)
	}
}

func TestAnOutageEndsPrefetchUntilItIsOver(t *testing.T) {
	r := newRig(t, withFiles(repository(1, 300)), withPrefetch(0), withFetches(8))
	r.wantText("d000/f000", "content of 0 0")
	waitFor(t, "the end", func() bool { in(r.fs.core.prefetcher, func() {}); r.settle(); return r.idle() })
	r.failAll(fmt.Errorf("in the way"))
	asked := r.origin.count("blob")
	for i := range 100 {
		_, _ = r.read(fmt.Sprintf("d000/f%03d", i))
	}
	if n := r.origin.count("blob") - asked; n > 500 {
		t.Errorf("%d requests for 100 files that could not be had", n)
	}
	r.origin.meet(nil)
	r.walkAll(r.ino("d000"), r.readAll, "")
}

// prefetchState returns the prefetcher, once it has fetched something; for use by in.
func (r *rig) prefetchState() *prefetcher { return r.seen.Load() }

// idle tells whether nothing is under way.
func (r *rig) idle() (idle bool) {
	in(r.engine.loader, func() { idle = r.engine.traffic.running == 0 })
	return idle
}
