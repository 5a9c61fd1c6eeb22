package main_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// Directory streams as getdents(2) gives them: readdir(3), telldir(3) and seekdir(3) are no more than that.

// dirent is one entry of a directory stream.
type dirent struct {
	name string
	ino  uint64
	kind uint8 // DT_DIR and so on
	next int64 // the position behind it
}

// stream is an open directory.
type stream struct {
	t  *testing.T
	fd int
}

func openStream(t *testing.T, dir string) *stream {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{t: t, fd: fd}
}

func (s *stream) close() { _ = unix.Close(s.fd) }

// read returns what one getdents(2) into a buffer of this size gives; nothing at the end.
func (s *stream) read(size int) []dirent {
	s.t.Helper()
	buf := make([]byte, size)
	n, err := unix.Getdents(s.fd, buf)
	if err != nil {
		s.t.Fatalf("getdents: %v", err)
	}
	var all []dirent
	for buf = buf[:n]; len(buf) > 0; buf = buf[binary.NativeEndian.Uint16(buf[16:]):] {
		name := buf[19:binary.NativeEndian.Uint16(buf[16:])]
		name = name[:bytes.IndexByte(name, 0)]
		all = append(all, dirent{
			name: string(name), ino: binary.NativeEndian.Uint64(buf), kind: buf[18], next: int64(binary.NativeEndian.Uint64(buf[8:])),
		})
	}
	return all
}

// rest reads to the end.
func (s *stream) rest(size int) (all []dirent) {
	s.t.Helper()
	for {
		part := s.read(size)
		if len(part) == 0 {
			return all
		}
		all = append(all, part...)
	}
}

func (s *stream) seek(position int64) {
	s.t.Helper()
	if _, err := unix.Seek(s.fd, position, unix.SEEK_SET); err != nil {
		s.t.Fatalf("seek: %v", err)
	}
}

// listing reads a directory with buffers of this size.
func listing(t *testing.T, dir string, size int) []dirent {
	t.Helper()
	s := openStream(t, dir)
	defer s.close()
	return s.rest(size)
}

func names(entries []dirent) []string {
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.name
	}
	slices.Sort(all)
	return all
}

// wantOnce checks that each of these names, "." and ".." is in a listing exactly once, and nothing else is.
func wantOnce(t *testing.T, what string, got []dirent, want []string) {
	t.Helper()
	all := append([]string{".", ".."}, want...)
	slices.Sort(all)
	if got := names(got); !slices.Equal(got, all) {
		t.Errorf("%s: %d entries, want %d; %.300q", what, len(got), len(all), got)
	}
}

// TestAStreamThatAnotherOvertakesIsWhole: a stream that began after a change, while another one from before it was filling
// the kernel's cache of listings, cannot go on in that cache. The kernel must not take that for the end, as it does if what
// is cached fills its last page to the byte: 128 entries of up to eight bytes fill the first.
func TestAStreamThatAnotherOvertakesIsWhole(t *testing.T) {
	t.Parallel()
	lower := func(n int) map[string]string {
		files := make(map[string]string)
		for i := range n {
			files[fmt.Sprintf("full-%d/f%d", n, i)] = ""
		}
		return files
	}
	files := make(map[string]string)
	counts := []int{124, 125, 126, 127, 253, 254, 255}
	for _, n := range counts {
		for path, content := range lower(n) {
			files[path] = content
		}
	}
	repo, lab := importRepo(t, files), suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	for _, n := range counts {
		dir := m.Path(fmt.Sprint("full-", n))
		var want []string
		for i := range n {
			want = append(want, fmt.Sprint("f", i))
		}
		first := openStream(t, dir)
		defer first.close()
		begun := first.read(1024)
		writeFile(t, dir+"/x", "")
		if err := os.Remove(dir + "/x"); err != nil {
			t.Fatal(err)
		}
		second := openStream(t, dir)
		defer second.close()
		secondBegun := second.read(1024)
		wantOnce(t, fmt.Sprint("first stream of ", n), append(begun, first.rest(1024)...), want)
		wantOnce(t, fmt.Sprint("second stream of ", n), append(secondBegun, second.rest(1024)...), want)
		wantOnce(t, fmt.Sprint("a new stream of ", n), listing(t, dir, 1024), want)
	}
}

// TestStreamsLeftUnreadDoNotKeepListingsOutOfTheCache: who only looks whether a directory is empty reads its first entries
// and closes it.
func TestStreamsLeftUnreadDoNotKeepListingsOutOfTheCache(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin, Flags: []string{"--log-level", "debug"}})
		unread := openStream(t, m.Path("dir"))
		unread.read(32 << 10)
		unread.close()
		lab.Shell(m.Path("dir"), "echo x > new")
		listsWithoutRequests(t, m, "dir")
	})
}

// listsWithoutRequests checks that the kernel lists a directory by itself after a few times.
func listsWithoutRequests(t *testing.T, m *testfs.Mount, dir string) {
	t.Helper()
	var made []string
	for range 6 {
		before := len(m.Log())
		listing(t, m.Path(dir), 32<<10)
		made = nil
		for _, line := range requestsIn(m.Log()[before:]) {
			if strings.HasPrefix(logged(line, "op"), "READDIR") {
				made = append(made, line)
			}
		}
		if made == nil {
			return
		}
	}
	t.Errorf("each listing makes requests: %q", made)
}

func TestStreamsGoOnFromEachOfTheirPositions(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 300 {
		files[fmt.Sprintf("dir/%0*d", 1+i%40, i)] = ""
	}
	repo := importRepo(t, files)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Path("dir"), "for i in $(seq 200); do echo > new$i; done")
		for range 2 { // from the mount, then from the kernel's cache
			all := listing(t, m.Path("dir"), 32<<10)
			if len(all) != 2+300+200 {
				t.Fatalf("%d entries", len(all))
			}
			s := openStream(t, m.Path("dir"))
			for i := len(all) - 1; i >= 0; i-- {
				s.seek(all[i].next)
				var want []dirent
				if i+1 < len(all) {
					want = all[i+1 : i+2]
				}
				if got := s.read(512); len(want) > 0 && (len(got) == 0 || got[0] != want[0]) || len(want) == 0 && len(got) > 0 {
					t.Fatalf("behind entry %d of %d comes %+v, want %+v", i, len(all), got, want)
				}
			}
			s.seek(0)
			if again := s.rest(1000); !slices.Equal(again, all) {
				t.Errorf("read again it has %d entries, before that %d", len(again), len(all))
			}
			s.close()
		}
	})
}

func TestRewoundStreamsShowTheDirectoryAsItIs(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		s := openStream(t, m.Path("dir"))
		defer s.close()
		want := []string{"a", "b"}
		wantOnce(t, "at first", s.rest(1000), want)
		for i := range 50 {
			name := fmt.Sprint("new", i)
			writeFile(t, m.Path("dir", name), "")
			want = append(want, name)
			s.seek(0)
			wantOnce(t, "after "+name, s.rest(1000), want)
			if i%3 == 0 {
				if err := os.RemoveAll(m.Path("dir", want[0])); err != nil {
					t.Fatal(err)
				}
				want = want[1:]
				s.seek(0)
				wantOnce(t, "after a removal", s.rest(1000), want)
			}
		}
	})
}

func TestListingsAgreeWithStat(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		before := allNumbers(t, m.Point)
		lab.Shell(m.Point, `
			echo more >> README.md; mkdir dir/new; mkfifo dir/pipe; mknod dir/null c 1 3; ln -s x dir/link; echo x > dir/born; ln dir/born dir/linked
			ln binary dir/second; mv foo.txt dir/moved; mv bin dir/bin; chmod 700 odd; mkdir again; rmdir again; mkdir again
			perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0); bind(S,sockaddr_un("dir/socket")) or die'`)
		await(t, "the moved directory lists its new parent", func() bool { // the kernel is told at once, but in the background
			return slices.ContainsFunc(listing(t, m.Path("dir/bin"), 4096), func(e dirent) bool { return e.name == ".." && e.ino == before["dir"] })
		})
		after := allNumbers(t, m.Point)
		for path, was := range map[string]string{"README.md": "README.md", "dir/second": "binary", "dir/moved": "foo.txt", "dir/bin": "bin", "odd": "odd"} {
			if after[path] != before[was] {
				t.Errorf("%s has number %d, as %s it had %d", path, after[path], was, before[was])
			}
		}
		m.Unmount()
		m = lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper})
		for path, n := range allNumbers(t, m.Point) {
			if after[path] != n {
				t.Errorf("%s has number %d, before the remount %d", path, n, after[path])
			}
		}
	})
}

// allNumbers returns the inode number of each path, after having compared what listings say of it with what stat does.
func allNumbers(t *testing.T, root string) map[string]uint64 {
	t.Helper()
	numbers := make(map[string]uint64)
	var walk func(rel string)
	walk = func(rel string) {
		for _, e := range listing(t, filepath.Join(root, rel), 4096) {
			path := filepath.Join(rel, e.name)
			if rel == "." && e.name == ".." {
				path = "." // not the directory above the mountpoint: a listing does not know it
			}
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(root, path), &st); err != nil || st.Ino != e.ino || st.Mode>>12 != uint32(e.kind) {
				t.Errorf("%s: stat says number %d and mode %o (%v), its listing %d and type %d", path, st.Ino, st.Mode, err, e.ino, e.kind)
			}
			if e.name == "." || e.name == ".." {
				continue
			}
			numbers[path] = e.ino
			if e.kind == unix.DT_DIR {
				walk(path)
			}
		}
	}
	walk(".")
	return numbers
}
