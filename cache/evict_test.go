package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// crowd is a directory with objects whose last uses are an hour apart, the first one's the longest ago.
type crowd struct {
	dir    string
	ids    []object.ID
	bodies [][]byte
}

func body(seed, n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%07d\n", seed), n/8+1)[:n]
}

func newCrowd(t *testing.T, sizes ...int) *crowd {
	t.Helper()
	c := &crowd{dir: t.TempDir()}
	s := c.open(t, Config{})
	for i, n := range sizes {
		b := body(i, n)
		id := object.Sum(object.Blob, b)
		if _, err := s.Put(object.Blob, id, int64(n), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		c.ids, c.bodies = append(c.ids, id), append(c.bodies, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for i, id := range c.ids {
		ago := time.Duration(len(sizes)-i) * time.Hour
		if err := os.Chtimes(s.disk.path(id), time.Now().Add(-ago), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *crowd) open(t *testing.T, cfg Config) *Store {
	t.Helper()
	cfg.Dir, cfg.Log = c.dir, slog.New(slog.DiscardHandler)
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// left tells which objects have a file.
func (c *crowd) left() (left []int) {
	for i, id := range c.ids {
		if _, err := os.Stat((&disk{objects: filepath.Join(c.dir, "objects")}).path(id)); err == nil {
			left = append(left, i)
		}
	}
	return left
}

// swept waits until a Store has brought the directory below its limit, by itself.
func (c *crowd) swept(t *testing.T, s *Store, limit int64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		total := int64(0)
		err := s.disk.scan(func(f file) error { total += occupied(f.size); return nil })
		if err == nil && total <= limit {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes stay, %v", total, err)
		}
	}
}

func repeat(n, times int) []int {
	sizes := make([]int, times)
	for i := range sizes {
		sizes[i] = n
	}
	return sizes
}

func TestALimitTakesWhatWasUsedLongestAgo(t *testing.T) {
	c := newCrowd(t, repeat(100_000, 20)...)
	s := c.open(t, Config{DiskBytes: 10 * occupied(100_000)})
	c.swept(t, s, 10*occupied(100_000))
	if got, want := fmt.Sprint(c.left()), "[11 12 13 14 15 16 17 18 19]"; got != want { // nine tenths of the limit
		t.Errorf("left: %s; want %s", got, want)
	}
}

func TestALimitIsKeptWhilePutting(t *testing.T) {
	c := newCrowd(t)
	s := c.open(t, Config{DiskBytes: 4 << 20, MemoryBytes: 2 << 20, fresh: 1})
	for i := range 40 {
		b := body(i, 500_000)
		id := object.Sum(object.Blob, b)
		if err := s.PutBytes(object.Blob, id, b); err != nil {
			t.Fatal(err)
		}
		if got, ok := s.Bytes(id); !ok || !bytes.Equal(got, b) {
			t.Fatal("lost right after it was put")
		}
	}
	s.Sync()
	c.swept(t, s, 5<<20)                                                                                     // what is not counted yet comes on top
	for deadline := time.Now().Add(30 * time.Second); s.Stats().Evicted < 30; time.Sleep(time.Millisecond) { // counted in the end
		if time.Now().After(deadline) {
			t.Fatalf("%d evicted", s.Stats().Evicted)
		}
	}
}

func TestFreshObjectsStay(t *testing.T) {
	c := newCrowd(t, repeat(100_000, 5)...)
	s := c.open(t, Config{DiskBytes: 1, fresh: time.Hour + 30*time.Minute})
	c.swept(t, s, occupied(100_000))
	if got := fmt.Sprint(c.left()); got != "[4]" {
		t.Errorf("left: %s; want the one used an hour ago", got)
	}
}

// TestASlowObjectIsFreshWhenItIsHere, and not of the age of its first byte: somebody waits for the last.
func TestASlowObjectIsFreshWhenItIsHere(t *testing.T) {
	c := newCrowd(t)
	s := c.open(t, Config{})
	want := body(1, 3<<20)
	id := object.Sum(object.Blob, want)
	slow := func() {
		files, err := filepath.Glob(filepath.Join(c.dir, "tmp", "*", "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("unfinished: %v, %v", files, err)
		}
		if err := os.Chtimes(files[0], time.Now().Add(-time.Hour), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(object.Blob, id, int64(len(want)), io.MultiReader(bytes.NewReader(want[:1<<20]), &pause{do: slow}, bytes.NewReader(want[1<<20:]))); err != nil {
		t.Fatal(err)
	}
	if f, err := lookAt(unix.AT_FDCWD, s.disk.path(id)); err != nil || time.Since(time.Unix(0, f.used)) > time.Minute {
		t.Errorf("used %v, %v", time.Unix(0, f.used), err)
	}
}

// pause does something in the middle of a body.
type pause struct{ do func() }

func (p *pause) Read([]byte) (int, error) {
	p.do()
	return 0, io.EOF
}

func TestUseIsNoted(t *testing.T) {
	uses := map[string]func(*Store, object.ID) error{
		"Bytes":  func(s *Store, id object.ID) error { s.Bytes(id); return nil },
		"ReadAt": func(s *Store, id object.ID) error { _, err := s.ReadAt(id, make([]byte, 10), 0); return err },
		"Open": func(s *Store, id object.ID) error {
			f, err := s.Open(id)
			if err == nil {
				err = f.Close()
			}
			return err
		},
	}
	for what, use := range uses {
		for _, size := range []int{1000, SmallMax + 1000} {
			if what == "Bytes" && size > SmallMax {
				continue // it has none
			}
			t.Run(fmt.Sprint(what, " of ", size), func(t *testing.T) {
				c := newCrowd(t, size, size, size)
				if err := use(c.open(t, Config{}), c.ids[0]); err != nil {
					t.Fatal(err)
				}
				s := c.open(t, Config{DiskBytes: 5 * occupied(int64(size)) / 2})
				c.swept(t, s, 2*occupied(int64(size)))
				if got := fmt.Sprint(c.left()); got != "[0 2]" {
					t.Errorf("left: %s; want [0 2]", got)
				}
			})
		}
	}
}

// TestNotingUseProvesNothing: a file from before this boot is not believed because it was used.
func TestNotingUseProvesNothing(t *testing.T) {
	dir, id, _ := stored(t, SmallMax+1000)
	s, _ := reopen(t, dir, true)
	f, _, err := s.disk.open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Chtimes(f.Name(), time.Now().Add(-2*touchAfter), time.Time{}); err != nil {
		t.Fatal(err)
	}
	s.disk.boot = time.Now().Add(time.Hour)
	info, err := f.Stat()
	if err != nil || s.disk.trusts(info) {
		t.Fatal("trusted", err)
	}
	s.disk.touch(f, info)
	if now, err := f.Stat(); err != nil || now.Sys() == nil || !sameTimes(now, info) {
		t.Errorf("%v: its times moved", err)
	}
}

func TestWhatIsOpenStaysReadable(t *testing.T) {
	const size = SmallMax + 1000
	c := newCrowd(t, size, size)
	s, other := c.open(t, Config{}), c.open(t, Config{fresh: 1})
	p := make([]byte, 1000)
	if _, err := s.ReadAt(c.ids[0], p, 0); err != nil { // by a descriptor that the Store keeps
		t.Fatal(err)
	}
	f, err := s.Open(c.ids[1])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := other.janitor.collect(0, 1, func(total int64) int64 { return total }); err != nil || len(c.left()) > 0 {
		t.Fatalf("left: %v, %v", c.left(), err)
	}
	s.large.closeUnused(time.Hour) // it was read lately
	if n, err := s.ReadAt(c.ids[0], p, 500_000); err != nil || !bytes.Equal(p[:n], c.bodies[0][500_000:501_000]) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, c.bodies[1]) {
		t.Errorf("the open file: %d bytes, %v", len(got), err)
	}
	s.large.closeUnused(0)
	if _, err := s.ReadAt(c.ids[0], p, 0); !errors.Is(err, ErrMissing) {
		t.Errorf("ReadAt = %v; want ErrMissing, and its space free", err)
	}
}

// TestWhatIsNoObjectIsPassedOver: one file of somebody's among the directories of objects must not keep all of them for ever.
func TestWhatIsNoObjectIsPassedOver(t *testing.T) {
	c := newCrowd(t, 1000, 1000)
	for _, name := range []string{"README", "ff"} {
		if err := os.WriteFile(filepath.Join(c.dir, "objects", name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := Collect(c.dir, 0); err != nil || got.Removed != 2 {
		t.Errorf("%+v, %v, want both objects collected", got, err)
	}
}

func TestOneCollectsAtATime(t *testing.T) {
	c := newCrowd(t, 1000)
	s := c.open(t, Config{})
	err := s.disk.sweeping(0, func() error {
		_, err := c.open(t, Config{fresh: 1}).janitor.collect(unix.LOCK_NB, 1, func(total int64) int64 { return total })
		return err
	})
	if !errors.Is(err, errBusy) || len(c.left()) != 1 {
		t.Errorf("%v, left %v", err, c.left())
	}
}

// TestWhoFindsAnotherCollectingLooksAgain, whatever the count says that the other is about to make exact.
func TestWhoFindsAnotherCollectingLooksAgain(t *testing.T) {
	c := newCrowd(t, 1000)
	if err := os.Remove(filepath.Join(c.dir, "usage")); err != nil {
		t.Fatal(err)
	}
	s := c.open(t, Config{})
	err := s.disk.sweeping(0, func() error {
		if !c.open(t, Config{DiskBytes: 1}).janitor.look() {
			t.Error("it will not look again for long")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWhoCannotAddToTheCountHasItLookedAt, since nobody may add anything after that.
func TestWhoCannotAddToTheCountHasItLookedAt(t *testing.T) {
	dir := t.TempDir()
	u, told := newUsage(dir), int64(0)
	u.added = func(total int64) { told = total }
	err := (&usage{path: u.path}).underLock(func() { u.add(2 * usageSlack) })
	if err != nil || told < 2*usageSlack {
		t.Errorf("told of %d bytes, %v", told, err)
	}
	if u.add(0); told != 2*usageSlack {
		t.Errorf("told of %d bytes once it could be counted", told)
	}
}

// underLock runs f while nobody can change the count.
func (u *usage) underLock(f func()) error {
	_, err := u.change(0, func(c count) count { f(); return c })
	return err
}

// TestTheCountIsMadeExact: whatever happens to the line with the count, it is right again after a scan, and a wrong one costs
// no object.
func TestTheCountIsMadeExact(t *testing.T) {
	const each = 100_000
	for name, line := range map[string]string{
		"none": "", "no number": "what is this\n", "negative": "-7 5\n", "too much": fmt.Sprintf("%20d %20d\n", int64(1)<<50, 1),
		"too little": fmt.Sprintf("%20d %20d\n", 1, 1), "zeros": string(make([]byte, 42)),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, repeat(each, 5)...)
			path := filepath.Join(c.dir, "usage")
			if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
				t.Fatal(err)
			}
			s := c.open(t, Config{DiskBytes: 10 * occupied(each)})
			same := func(c count) count { return c }
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
				got, err := s.disk.usage.change(0, same)
				if err == nil && got.bytes == 5*occupied(each) && time.Since(got.scanned) < time.Hour {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%+v, %v", got, err)
				}
			}
			if len(c.left()) != 5 {
				t.Errorf("left: %v", c.left())
			}
		})
	}
}

func sameTimes(a, b os.FileInfo) bool { return fmt.Sprint(a.Sys()) == fmt.Sprint(b.Sys()) }

// BenchmarkCollect deletes the oldest tenth of 20,000 objects; ns/object is the cost of each that goes, with its part of the
// scan.
func BenchmarkCollect(b *testing.B) {
	const objects = 20_000
	d, err := openDisk(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.close() }()
	removed := 0
	for b.Loop() {
		b.StopTimer()
		for i := range objects {
			payload := body(i, 100)
			if id := object.Sum(object.Blob, payload); !d.has(id) {
				if err := d.write(id, payload); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.StartTimer()
		c, err := d.collect(nil, func(total int64) int64 { return total / 10 }, time.Now().Add(time.Hour))
		if err != nil || c.Removed == 0 {
			b.Fatal(c, err)
		}
		removed += c.Removed
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(removed), "ns/object")
}
