package cache

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// fullOfOld has a crowd on a disk of its own that the objects fill.
func fullOfOld(t *testing.T, each int) *crowd {
	t.Helper()
	c := newCrowd(t)
	if err := unix.Mount("none", c.dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatalf("mount a tmpfs (the tests run as root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(c.dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	s := c.open(t, Config{})
	for i := 0; ; i++ {
		b := body(i, each)
		id := object.Sum(object.Blob, b)
		if err := s.disk.write(id, b); errors.Is(err, unix.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(time.Duration(i-1000) * time.Hour)
		if err := os.Chtimes(s.disk.path(id), when, when); err != nil {
			t.Fatal(err)
		}
		c.ids, c.bodies = append(c.ids, id), append(c.bodies, b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAFullDiskMakesRoom: with room to be made nothing has to stay in memory, nor fail, whatever its size.
func TestAFullDiskMakesRoom(t *testing.T) {
	for name, size := range map[string]int{"small": 500_000, "large": 3 << 20, "larger than memory": 7 << 20} {
		t.Run(name, func(t *testing.T) {
			c := fullOfOld(t, 200_000)
			s := c.open(t, Config{MemoryBytes: 2 << 20})
			want := body(1000, size)
			id := object.Sum(object.Blob, want)
			if _, err := s.Put(object.Blob, id, int64(size), bytes.NewReader(want)); err != nil {
				t.Fatal(err)
			}
			s.Sync()
			if st := s.Stats(); st.Evicted == 0 || st.DiskErrors > 0 {
				t.Errorf("%+v; want evictions and no errors", st)
			}
			readsBack(t, s, id, want)
			if left := c.left(); len(left) > 0 && left[0] == 0 {
				t.Errorf("left: %v; want the last ones, if any", left)
			}
		})
	}
}

// TestAFullDiskKeepsWhatIsFresh: what somebody may be about to read is not deleted for what memory can take.
func TestAFullDiskKeepsWhatIsFresh(t *testing.T) {
	for name, memory := range map[string]int64{"room in memory": 4 << 20, "none in memory": 2 << 20} {
		t.Run(name, func(t *testing.T) {
			c := fullOfOld(t, 200_000)
			s := c.open(t, Config{MemoryBytes: memory, fresh: 10_000 * time.Hour})
			want := body(1000, 3<<20)
			id := object.Sum(object.Blob, want)
			if _, err := s.Put(object.Blob, id, int64(len(want)), bytes.NewReader(want)); err != nil {
				t.Fatal(err)
			}
			if n, ok := s.Size(id); !ok || n != int64(len(want)) {
				t.Errorf("Size = %d, %v", n, ok)
			}
			if deleted := len(c.left()) < len(c.ids); deleted != (memory < 3<<20) {
				t.Errorf("%d of %d objects left", len(c.left()), len(c.ids))
			}
		})
	}
}

// TestADiskThatIsFullFromTheStart: a Store opens all the same, and uses the disk when there is room.
func TestADiskThatIsFullFromTheStart(t *testing.T) {
	c := newCrowd(t)
	if err := unix.Mount("none", c.dir, "tmpfs", 0, "size=4m,nr_inodes=2"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(c.dir, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(c.dir+"/filler", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := c.open(t, Config{})
	for i, size := range []int{1000, 2 << 20} {
		want := body(i, size)
		id := object.Sum(object.Blob, want)
		if _, err := s.Put(object.Blob, id, int64(size), bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		s.Sync()
		if i == 0 {
			if err := unix.Mount("none", c.dir, "", unix.MS_REMOUNT, "nr_inodes=100"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		readsBack(t, s, id, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestVerifyFindsDamageOfThisBoot: without it a large object is hashed once a boot, with it whenever it is opened.
func TestVerifyFindsDamageOfThisBoot(t *testing.T) {
	for what, read := range readers() {
		if what == "Bytes" || what == "Size" {
			continue // of a large object the one has nothing, and the other nothing to do with its content
		}
		t.Run(what, func(t *testing.T) {
			dir, id, b := stored(t, SmallMax+1000)
			c := &crowd{dir: dir, ids: []object.ID{id}}
			s := c.open(t, Config{Verify: true})
			damage(t, s.disk.path(id), flipByte)
			if !read(c.open(t, Config{}), id) {
				t.Error("missing without Verify")
			}
			if read(s, id) || len(c.left()) > 0 || s.Stats().Mismatches != 1 {
				t.Errorf("read although damaged; %d files left, %+v", len(c.left()), s.Stats())
			}
			if err := s.PutBytes(object.Blob, id, b); err != nil {
				t.Fatal(err)
			}
			readsBack(t, s, id, b)
		})
	}
}
