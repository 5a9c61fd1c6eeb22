package main_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// layout describes a file: its size and blocks, where it has data (SEEK_DATA, SEEK_HOLE), and what.
func layout(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := errors.Join(unix.Fsync(fd), unix.Fstat(fd, &st)); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("size %d, %d blocks", st.Size, st.Blocks)
	for off := int64(0); off < st.Size; {
		data, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		hole, herr := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err = errors.Join(err, herr); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, data, hole-data)); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf(", [%d,%d) %.4x", data, hole, h.Sum(nil))
		off = hole
	}
	for _, off := range []int64{-1, st.Size, st.Size + 1} {
		_, err := unix.Seek(fd, off, unix.SEEK_DATA)
		text += fmt.Sprintf(", %v", err)
	}
	return text
}

const gib = int64(1) << 30

// sparseFile writes a file of 9 GiB that has data in few places.
func sparseFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, off := range []int64{8192, 4*gib - 4096, 4 * gib, 8*gib + 1} {
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(off>>13) | 1}, 20000), off); err != nil {
			return err
		}
	}
	return errors.Join(f.Truncate(9*gib+5), f.Sync(), f.Close())
}

// sparseMount is a mount whose upper is on an ext4 disk, over a directory with a sparse file, and a plain directory with
// that file on another disk of the same kind.
func sparseMount(t *testing.T) (lab *testfs.Lab, m *testfs.Mount, plain string) {
	t.Helper()
	lab = suite.New(t)
	lower, above := testfs.NewDisk(t, "ext4", "64M"), testfs.NewDisk(t, "ext4", "64M")
	for _, dir := range []string{"lower", "plain"} {
		if err := errors.Join(os.Mkdir(filepath.Join(lower.Dir, dir), 0o755), sparseFile(filepath.Join(lower.Dir, dir, "sparse"))); err != nil {
			t.Fatal(err)
		}
	}
	m = lab.Mount(testfs.Spec{Flags: []string{"--lower", "dir:" + filepath.Join(lower.Dir, "lower")}, Upper: filepath.Join(above.Dir, "upper")})
	return lab, m, filepath.Join(lower.Dir, "plain")
}

// TestASparseFileIsCopiedUpSparse: 9 GiB of zeros would not fit, nor be read in the time of the test.
func TestASparseFileIsCopiedUpSparse(t *testing.T) {
	t.Parallel()
	lab, m, plain := sparseMount(t)
	if got, want := layout(t, m.Path("sparse")), layout(t, filepath.Join(plain, "sparse")); got != want {
		t.Errorf("before copy-up\n%s, want\n%s", got, want)
	}
	for _, dir := range []string{m.Point, plain} {
		lab.Shell(dir, "chmod 600 sparse; printf more | dd of=sparse bs=1 seek=6G conv=notrunc status=none; sync sparse")
	}
	if got, want := layout(t, m.Path("sparse")), layout(t, filepath.Join(plain, "sparse")); got != want {
		t.Errorf("after copy-up\n%s, want\n%s", got, want)
	}
	m.Unmount()
}

// TestATruncationCopiesWhatItKeeps: the file's content does not fit into upper.
func TestATruncationCopiesWhatItKeeps(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	lower := lab.Mkdir("lower")
	lab.Shell(lower, "head -c 100M /dev/urandom > large")
	m := lab.Mount(testfs.Spec{Flags: []string{"--lower", "dir:" + lower}, Upper: filepath.Join(testfs.NewDisk(t, "ext4", "32M").Dir, "upper")})
	lab.Shell(m.Point, "truncate -s 1000001 large; cmp -n 1000001 large "+lower+"/large; test $(stat -c %s large) = 1000001")
	m.Unmount()
}

// TestAllocation does on a mount what it does on plain ext4. The kernel's FUSE client lets three modes through and refuses the
// others by itself.
func TestAllocation(t *testing.T) {
	t.Parallel()
	_, m, plain := sparseMount(t)
	steps := []struct {
		mode    uint32
		off, n  int64
		refused bool // by the kernel's FUSE client
	}{
		{0, 100, 5000, false},
		{unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, 4*gib - 4096, 8192, false},
		{unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, 9000, 100, false},
		{unix.FALLOC_FL_PUNCH_HOLE, 9000, 100, false},
		{unix.FALLOC_FL_ZERO_RANGE, 8*gib + 100, 3000, false},
		{unix.FALLOC_FL_ZERO_RANGE, 9 * gib, 100000, false},
		{unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE, 9*gib + 100000, 100000, false},
		{unix.FALLOC_FL_KEEP_SIZE, 10 * gib, 65536, false},
		{0, 10 * gib, 4096, false},
		{unix.FALLOC_FL_COLLAPSE_RANGE, 0, 4096, true},
		{unix.FALLOC_FL_INSERT_RANGE, 4096, 8192, true},
		{unix.FALLOC_FL_UNSHARE_RANGE, 0, 4096, false}, // not on ext4 either
		{0, -1, 10, false},
		{0, 0, 0, false},
		{0, 1 << 62, 1 << 62, false},
		{0, 1 << 44, 4096, false}, // more than ext4 files can have
	}
	for _, s := range steps {
		var said []string
		for _, dir := range []string{m.Point, plain} {
			if s.refused && dir == plain {
				said = append(said, fmt.Sprint(unix.EOPNOTSUPP))
				continue
			}
			f, err := os.OpenFile(filepath.Join(dir, "sparse"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			said = append(said, fmt.Sprint(unix.Fallocate(int(f.Fd()), s.mode, s.off, s.n)))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if said[0] != said[1] {
			t.Errorf("%+v: %s, want %s", s, said[0], said[1])
		}
		got, want := layout(t, m.Path("sparse")), layout(t, filepath.Join(plain, "sparse"))
		if got != want {
			t.Fatalf("after %+v\n%s, want\n%s", s, got, want)
		}
	}
	if got := layout(t, m.InUpper("sparse")); !strings.HasPrefix(got, "size ") {
		t.Error(got)
	}
	m.Unmount()
}

// TestCopiesShareBlocks: FICLONE does not pass the kernel's FUSE client, but copy_file_range does, which cp takes instead.
func TestCopiesShareBlocks(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	disk := testfs.NewDisk(t, "xfs", "400M")
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir, Upper: filepath.Join(disk.Dir, "upper")})
	lab.Shell(m.Point, "head -c 64M /dev/urandom > large; sync large")
	before := disk.Free()
	lab.Shell(m.Point, "cp large copy; cmp large copy; ! cp --reflink=always large third 2>/dev/null")
	if used := int64(before) - int64(disk.Free()); used > 8<<20 {
		t.Errorf("a copy of 64 MiB uses %d bytes", used)
	}
	m.Unmount()
}
