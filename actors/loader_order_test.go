package actors

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

func withFetches(n int) option { return func(c *Config, _ *rig) { c.Fetches = n } }

// More than may be under way at once, for two mounts together: the rest stand in line, and each is answered.
func TestTheLoaderBoundsItsFetches(t *testing.T) {
	files, blobs, ids := manyFiles("d", 50)
	r := newRig(t, withFiles(files), withFetches(8))
	mounts := []*rig{r, r.another(0)}
	s := newTurnstile(t, r.origin, "blob")
	var done []<-chan error
	for i, id := range ids {
		done = append(done, mounts[i%2].demand(id))
	}
	s.names(8)
	r.settle()
	if n := r.engine.traffic.running; n != 8 { // the loader has nothing to do until one of them passes
		t.Errorf("%d fetches are under way", n)
	}
	s.passAll()
	for _, d := range done {
		check(t, <-d)
	}
	if s.most != 8 {
		t.Errorf("%d fetches at once", s.most)
	}
	if came := s.came(); len(came) != len(blobs) {
		t.Errorf("%d fetches of %d blobs", len(came), len(blobs))
	}
}

func TestDemandGoesBeforePrefetchAndFindsAFreePlace(t *testing.T) {
	files, blobs, ids := manyFiles("d", 12)
	r := newRig(t, withFiles(files), withFetches(4))
	s := newTurnstile(t, r.origin, "blob")
	for _, id := range ids[:8] {
		r.prefetch(id)
	}
	r.settle()
	if at := s.names(3); !slices.Equal(sorted(at), sorted(blobs[:3])) {
		t.Fatalf("prefetch takes %v: three quarters of the places", at)
	}
	first := r.demand(ids[10]) // there is a place left
	s.until(func() bool { return s.waiting[blobs[10]] != nil })
	second := r.demand(ids[11]) // and now there is none
	r.settle()
	s.pass(blobs[0])
	s.until(func() bool { return s.waiting[blobs[11]] != nil })
	if came := s.came(); len(came) != 5 {
		t.Errorf("%v: prefetch went before demand", came)
	}
	s.passAll()
	check(t, <-first)
	check(t, <-second)
}

func TestAPrefetchThatIsAskedForIsDemand(t *testing.T) {
	files, blobs, ids := manyFiles("d", 10)
	r := newRig(t, withFiles(files), withFetches(4))
	s := newTurnstile(t, r.origin, "blob")
	for _, id := range ids {
		r.prefetch(id)
	}
	s.names(3)
	inLine := r.demand(ids[9])
	s.until(func() bool { return s.waiting[blobs[9]] != nil })
	underWay := r.demand(ids[0])
	r.settle()
	s.pass(blobs[0], blobs[9])
	check(t, <-inLine)
	check(t, <-underWay)
	s.passAll()
	waitFor(t, "the prefetches", func() bool { return r.mount.Stats().Prefetch.Blobs == 9 })
	if n := r.origin.count("blob"); n != 10 {
		t.Errorf("%d fetches of 10 blobs", n)
	}
	if st := r.mount.Stats(); st.Demand.Blobs != 1 || st.Joined != 2 {
		t.Errorf("%d on demand, %d joined", st.Demand.Blobs, st.Joined)
	}
}

func TestMountsShareThePlaces(t *testing.T) {
	files, blobs, ids := manyFiles("d", 30)
	r := newRig(t, withFiles(files), withFetches(4))
	other := r.another(0)
	s := newTurnstile(t, r.origin, "blob")
	for _, id := range ids[:20] {
		r.demand(id)
	}
	s.names(4)
	var done []<-chan error
	for _, id := range ids[20:24] {
		done = append(done, other.demand(id))
	}
	r.settle()
	for i := range 2 { // the first mount has four places, so the next ones that are free go to the other
		s.pass(s.names(4)[0])
		s.until(func() bool { return s.waiting[blobs[20+i]] != nil })
	}
	s.passAll()
	for _, d := range done {
		check(t, <-d)
	}
}

func TestAMountHasALimitOfItsOwn(t *testing.T) {
	files, _, ids := manyFiles("d", 30)
	r := newRig(t, withFiles(files), withFetches(8))
	other := r.another(2)
	s := newTurnstile(t, r.origin, "blob")
	for _, id := range ids[:10] {
		other.demand(id)
	}
	s.names(2)
	r.settle()
	mine := r.demand(ids[20])
	s.names(3)
	r.settle()
	if at := s.names(3); len(at) != 3 {
		t.Errorf("%d under way", len(at))
	}
	s.passAll()
	check(t, <-mine)
}

func TestMountsThatWantOneObjectMakeOneFetch(t *testing.T) {
	files, _, ids := manyFiles("d", 1)
	r := newRig(t, withFiles(files))
	other := r.another(0)
	s := newTurnstile(t, r.origin, "blob")
	a := r.demand(ids[0])
	s.names(1)
	b := other.demand(ids[0])
	r.settle()
	check(t, r.mount.Unmount(context.Background())) // and the fetch goes on for the other one
	s.passAll()
	wantErr(t, "the mount that ended", <-a, ErrStopped)
	check(t, <-b)
	if n := r.origin.count("blob"); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestTheLastWaiterWhoLeavesEndsTheFetch(t *testing.T) {
	for what, tt := range map[string]struct {
		held string
		do   func(*rig, Caller) error
	}{
		"read": {"blob", func(r *rig, who Caller) error {
			_, err := r.fs.Read(who, tree.LowerIno("a/deep/big.bin"), make([]byte, 1), 0)
			return err
		}},
		"readdir": {"tree c", func(r *rig, who Caller) error {
			return r.fs.Readdir(who, tree.LowerIno("c"), Cursor{}, func(DirEntry) bool { return true })
		}},
		"stat": {"blob", func(r *rig, who Caller) error { _, err := r.fs.Lookup(who, tree.LowerIno("c"), "only.txt"); return err }},
	} {
		t.Run(what, func(t *testing.T) {
			var arrived atomic.Int64
			r := newRig(t, withProbe(func(_ string, msg any) func() {
				switch msg.(type) {
				case *fetchBlob, *loadTable, *resolveSize: // counted before it is answered
					arrived.Add(1)
				}
				return nil
			}))
			r.ino("c")
			r.ino("a/deep/big.bin") // its size
			if what == "stat" {
				_, err := r.list("c")
				check(t, err)
			}
			r.settleLoader() // the request that told a size may be under way still, and would be joined
			s := newTurnstile(t, r.origin, tt.held)
			arrived.Store(0)
			who, leave := leaver()
			other, otherLeaves := leaver()
			result := make(chan error, 2)
			go func() { result <- tt.do(r, who) }()
			name := s.names(1)[0]
			go func() { result <- tt.do(r, other) }()
			waitFor(t, "the second one", func() bool { return arrived.Load() == 2 })
			leave()
			wantErr(t, what, <-result, ErrInterrupted)
			r.settle()
			if at := s.names(1); len(at) != 1 {
				t.Fatalf("the fetch ended with the first who left: %v", at)
			}
			otherLeaves()
			wantErr(t, what, <-result, ErrInterrupted)
			s.until(func() bool { return slices.Equal(s.left, []string{name}) })
			s.passAll()
			check(t, tt.do(r, nobodyWaits))
		})
	}
}

func TestAPrefetchKeepsAFetchThatItsReaderLeft(t *testing.T) {
	r := newRig(t)
	id := object.Sum(object.Blob, []byte("only\n"))
	s := newTurnstile(t, r.origin, "blob")
	ahead := r.prefetch(id)
	s.names(1)
	m := &fetchBlob{Source: r.fs.core.source, ID: id}
	who, leave := leaver()
	result := make(chan error)
	go func() { result <- r.fs.ask(who, &r.engine.loader.Owner, m) }()
	waitFor(t, "the reader", func() bool { r.settle(); return r.mount.Stats().Joined == 1 })
	leave()
	wantErr(t, "read", <-result, ErrInterrupted)
	r.settle()
	s.passAll()
	if o := <-ahead; o.Err != nil || len(s.left) > 0 {
		t.Errorf("%v, cancelled: %v", o.Err, s.left)
	}
}

func TestUnmountEndsPrefetches(t *testing.T) {
	files, _, ids := manyFiles("d", 10)
	r := newRig(t, withFiles(files), withFetches(4))
	s := newTurnstile(t, r.origin, "blob")
	for _, id := range ids {
		r.prefetch(id)
	}
	s.names(3)
	check(t, r.mount.Unmount(context.Background()))
	if came, left := s.came(), len(s.left); len(came) != 3 || left != 3 { // nothing is under way when it returns
		t.Errorf("%d began, %d were cancelled", len(came), left)
	}
}

func TestAPanicWhileAMountEndsLeavesNothingUnderWay(t *testing.T) {
	files, _, ids := manyFiles("d", 10)
	var panicked atomic.Bool
	r := newRig(t, withFiles(files), withFetches(4), withProbe(func(_ string, msg any) func() {
		if m, ok := msg.(*quit); ok && m.Source.origin != nil && panicked.CompareAndSwap(false, true) {
			panic("a test's")
		}
		return nil
	}))
	s := newTurnstile(t, r.origin, "blob")
	for _, id := range ids {
		r.prefetch(id)
	}
	s.names(3)
	ended := make(chan error)
	go func() { ended <- r.mount.Unmount(context.Background()) }()
	waitFor(t, "the panic", panicked.Load)
	s.passAll() // those that the loader has forgotten
	check(t, <-ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.waiting); n != 0 {
		t.Errorf("%d under way", n)
	}
}

// A large blob is not read for its size; whoever wants its content meanwhile gets it.
func TestContentIsWantedWhileASizeIsAskedFor(t *testing.T) {
	r := newRig(t)
	big := strings.Repeat("0123456789abcdef", 40_000)
	id := object.Sum(object.Blob, []byte(big))
	s := newTurnstile(t, r.origin, "blob")
	ahead := r.prefetch(id)
	s.names(1)
	want := r.demand(id)
	r.settle()
	s.passAll()
	check(t, <-want)
	if o := <-ahead; o.Err != nil || o.Sizes[0] != int64(len(big)) {
		t.Errorf("%v, %v", o.Sizes, o.Err)
	}
	if n := r.origin.count("blob"); n != 1 {
		t.Errorf("%d fetches", n)
	}
	r.wantText("a/deep/big.bin", big)
}

func TestALoaderThatPanicsKeepsItsLimit(t *testing.T) {
	files, _, ids := manyFiles("d", 20)
	panics := 0
	r := newRig(t, withFiles(files), withFetches(4), withProbe(func(actor string, msg any) func() {
		if _, ok := msg.(*fetched); ok && actor == "loader" && panics < 3 {
			panics++
			panic("a test's")
		}
		return nil
	}))
	s := newTurnstile(t, r.origin, "blob")
	var done []<-chan error
	for _, id := range ids {
		done = append(done, r.demand(id))
	}
	s.pass(s.names(4)[:3]...)
	s.names(4)
	r.settle()
	s.passAll()
	for _, d := range done {
		check(t, <-d)
	}
	if s.most > 4 {
		t.Errorf("%d fetches at once", s.most)
	}
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// another is a second mount of the rig's engine, with a limit of its own.
func (r *rig) another(fetches int) *rig {
	spec := r.spec()
	spec.Upper += "2"
	spec.Fetches = fetches
	m, err := r.engine.Mount(context.Background(), spec)
	check(r.t, err)
	return &rig{
		t: r.t, dir: r.dir, origin: r.origin, engine: r.engine, store: r.store, mount: m,
		kernel: &kernel{t: r.t, fs: m.FS(), known: make(map[uint64]uint64)},
	}
}
