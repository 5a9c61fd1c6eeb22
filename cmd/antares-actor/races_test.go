package main_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["append"] = appendRecords
	roles["claim"] = claim
	roles["tally"] = tally
	roles["direct"] = direct
}

const racers = 8

func TestRecordsAppendedBySeveralProcessesAreWhole(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, path := range []string{"README.md", "born"} { // the first append copies the one up, in whichever process
			before := ""
			if path == "README.md" {
				before = read(t, m.Path(path))
			}
			together(t, lab, racers, m.Point, "append", path)
			seen := make(map[string]int)
			for line := range strings.Lines(strings.TrimPrefix(read(t, m.Path(path)), before)) {
				var id string
				var n, length int
				if _, err := fmt.Sscan(line, &id, &n, &length); err != nil || len(line) != length || strings.Trim(line[strings.Index(line, "x"):], "x\n") != "" {
					t.Fatalf("%s: a torn record: %.60q", path, line)
				}
				seen[fmt.Sprint(id, " ", n)]++
			}
			if len(seen) != racers*lines {
				t.Errorf("%s: %d records, want %d", path, len(seen), racers*lines)
			}
		}
	})
}

const lines = 100

// appendRecords appends lines of many lengths, one write(2) each.
func appendRecords(args []string) error {
	fd, err := unix.Open(args[0], unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT, 0o644)
	if err != nil {
		return err
	}
	for i := range lines {
		length := 40 + i*i%9000
		line := fmt.Sprintf("%s %d %d ", os.Getenv("ANTARES_ID"), i, length)
		line += strings.Repeat("x", length-len(line)-1) + "\n"
		if n, err := unix.Write(fd, []byte(line)); err != nil || n != len(line) {
			return fmt.Errorf("%d of %d bytes: %w", n, len(line), err)
		}
	}
	return unix.Close(fd)
}

// TestOneOfSeveralProcessesGetsAName: whoever makes it, however, and nobody else.
func TestOneOfSeveralProcessesGetsAName(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 40 { // names that were the origin's: a new one is exchanged with a whiteout
		files[fmt.Sprint("dir/name-", i*3)] = ""
	}
	repo := importRepo(t, files)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Path("dir"), "rm name-*")
		together(t, lab, racers, m.Path("dir"), "claim")
		var won []string
		for id := range racers {
			won = append(won, strings.Fields(read(t, m.Path("dir", fmt.Sprint("won-", id))))...)
		}
		slices.Sort(won)
		if unique := slices.Compact(slices.Clone(won)); len(won) != claims || len(unique) != claims {
			t.Errorf("%d successes and %d different ones, want %d", len(won), len(unique), claims)
		}
	})
}

const claims = 120

// claim tries to make each of the names, by another call each, and notes which it made.
func claim([]string) error {
	mine := "mine-" + os.Getenv("ANTARES_ID")
	var won bytes.Buffer
	for i := range claims {
		name := fmt.Sprint("name-", i)
		var err error
		switch i % 5 {
		case 0:
			var fd int
			if fd, err = unix.Open(name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o644); err == nil {
				err = unix.Close(fd)
			}
		case 1:
			err = unix.Mkdir(name, 0o755)
		case 2:
			err = errors.Join(os.WriteFile(mine, nil, 0o644), unix.Link(mine, name))
		case 3:
			err = unix.Symlink(mine, name)
		case 4:
			err = errors.Join(os.WriteFile(mine, nil, 0o644), unix.Renameat2(unix.AT_FDCWD, mine, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE))
		}
		switch {
		case err == nil:
			fmt.Fprintln(&won, name)
		case !errors.Is(err, unix.EEXIST):
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return os.WriteFile("won-"+os.Getenv("ANTARES_ID"), won.Bytes(), 0o644)
}

// TestMappingsAreSharedBetweenProcesses: eight add to the same words of a mapped file, atomically.
func TestMappingsAreSharedBetweenProcesses(t *testing.T) {
	t.Parallel()
	repo := importRepo(t, map[string]string{"low": strings.Repeat("\x00", 16384)})
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		writeFile(t, m.Path("new"), strings.Repeat("\x00", 16384))
		for _, path := range []string{"low", "new"} {
			together(t, lab, racers, m.Point, "tally", path)
			for where, p := range map[string]string{"mount": m.Path(path), "upper": m.InUpper(path)} {
				got := []byte(read(t, p))
				for at := 0; at < len(got); at += 4096 {
					if n := binary.NativeEndian.Uint64(got[at:]); n != racers*tallies {
						t.Errorf("%s in %s: the number at %d is %d, want %d", path, where, at, n, racers*tallies)
					}
				}
			}
		}
	})
}

const tallies = 2000

// tally counts in the first word of each page, and writes pages back now and then.
func tally(args []string) error {
	return fdo(args[0], func(fd int) error {
		m, err := unix.Mmap(fd, 0, 16384, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		for i := range tallies {
			for at := 0; at < len(m); at += 4096 {
				atomic.AddUint64((*uint64)(unsafe.Pointer(&m[at])), 1)
			}
			if i%500 == 0 {
				err = errors.Join(err, unix.Msync(m, unix.MS_SYNC))
			}
		}
		return errors.Join(err, unix.Munmap(m))
	})
}

// TestDirectReadsAndWritesMixWithOthers: O_DIRECT is served, whole blocks at least, and coherent with the page cache.
func TestDirectReadsAndWritesMixWithOthers(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		plain := lab.Checkout(repo.Dir, "HEAD")
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, path := range []string{"large.bin", "README.md", "born"} {
			want, got := lab.Role(plain, "direct", path), lab.Role(m.Point, "direct", path)
			if got != want {
				t.Errorf("%s: in the mount it says\n%s\nin a plain directory\n%s", path, got, want)
			}
			wantSame(t, m.Path(path), read(t, plain+"/"+path))
			wantSame(t, m.InUpper(path), read(t, plain+"/"+path))
		}
	})
}

// direct reads and writes a file with and without the page cache, and says what it reads.
func direct(args []string) error {
	cached, err := unix.Open(args[0], unix.O_RDWR|unix.O_CREAT, 0o644)
	if err != nil {
		return err
	}
	raw, err := unix.Open(args[0], unix.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	block, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
	if err != nil {
		return err
	}
	say := func(what string, n int, err error) {
		fmt.Printf("%s: %d %s %s; by the cache %s\n", what, n, errname(err), sum(block), contents(cached))
	}
	n, err := unix.Pread(raw, block, 0)
	say("read", n, err)
	for i := range block {
		block[i] = byte(i % 251)
	}
	n, err = unix.Pwrite(raw, block, 4096)
	say("write", n, err)
	n, err = unix.Pwrite(cached, []byte("cached"), 5000)
	say("cached write", n, err)
	n, err = unix.Pread(raw, block, 4096)
	say("read what was cached", n, err)
	n, err = unix.Pwrite(raw, block, 1<<20)
	say("write beyond the end", n, err)
	n, err = unix.Pread(raw, block, 4<<20)
	say("read beyond the end", n, err)
	return errors.Join(unix.Ftruncate(raw, 6000), unix.Fsync(raw), unix.Close(raw), unix.Close(cached))
}
