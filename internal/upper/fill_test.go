package upper_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// openOn is newStore below a directory.
func openOn(t *testing.T, dir string) *fixture {
	t.Helper()
	f := &fixture{t: t, upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work")}
	f.open()
	t.Cleanup(f.close)
	return f
}

// extents are where a file has data; each begins and ends with a byte that is not zero.
type extents struct {
	size int64
	data [][2]int64
}

// write makes the file in dir, and returns it open and the blocks that it has.
func (e extents) write(t *testing.T, dir string) (*os.File, int64) {
	t.Helper()
	src, err := os.Create(filepath.Join(dir, "source"))
	check(t, err)
	t.Cleanup(func() { src.Close() })
	check(t, src.Truncate(e.size))
	for _, d := range e.data {
		_, err := src.WriteAt(bytes.Repeat([]byte{0xa5}, int(d[1]-d[0])), d[0])
		check(t, err)
	}
	check(t, src.Sync())
	return src, blocks(t, src.Name())
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Stat(path, &st))
	return st.Blocks
}

// verify compares the file's data and its surroundings.
func (e extents) verify(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	info, err := f.Stat()
	check(t, err)
	if info.Size() != size {
		t.Errorf("size %d, want %d", info.Size(), size)
	}
	for _, d := range e.data {
		want := bytes.Repeat([]byte{0xa5}, int(max(min(d[1], size)-d[0], 0)))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(io.NewSectionReader(f, d[0], int64(len(want))), got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("other data in %v: %v", d, err)
		}
		for _, at := range []int64{d[0] - 1, d[1]} {
			var b [1]byte
			if at < 0 || at >= size {
				continue
			}
			if _, err := f.ReadAt(b[:], at); err != nil || b[0] != 0 {
				t.Errorf("byte %#x at %d beside %v, %v", b[0], at, d, err)
			}
		}
	}
}

const mib, gib = int64(1) << 20, int64(1) << 30

func sparseFiles() map[string]extents {
	return map[string]extents{
		"data first":         {8 * mib, [][2]int64{{0, 64 << 10}}},
		"a hole first":       {8 * mib, [][2]int64{{4 * mib, 8 * mib}}},
		"data between":       {8*mib + 7, [][2]int64{{mib, mib + 4096}, {5 * mib, 5*mib + 3}}},
		"nothing but a hole": {8 * mib, nil},
		"more than 4 GiB":    {9*gib + 12345, [][2]int64{{4*gib - 4096, 4*gib + 4096}, {8 * gib, 8*gib + mib}}},
		"no hole":            {3*mib + 1, [][2]int64{{0, 3*mib + 1}}},
	}
}

func TestFillKeepsHoles(t *testing.T) {
	other := tmpfs(t, "size=64m")
	grounds := map[string]string{
		"tmpfs": tmpfs(t, "size=64m"),
		"ext4":  testfs.NewDisk(t, "ext4", "200M").Dir, // 9 GiB of zeros do not fit
		"xfs":   testfs.NewDisk(t, "xfs", "320M").Dir,
		"btrfs": testfs.NewDisk(t, "btrfs", "320M").Dir,
	}
	for fs, ground := range grounds {
		f := openOn(t, ground)
		for name, shape := range sparseFiles() {
			for where, dir := range map[string]string{"same": ground, "other": other} {
				t.Run(fs+", from the "+where+", "+name, func(t *testing.T) {
					src, want := shape.write(t, dir)
					for _, keep := range []int64{shape.size, 1, mib + 10, min(shape.size-1, 4*gib)} {
						st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
						check(t, f.Fill(st, src, keep))
						check(t, f.Commit(st, f.Root(), "x"))
						shape.verify(t, f.path("x"), keep)
						// An extent is whole blocks, and xfs reserves 128 KiB where a shared block was cut.
						if got := blocks(t, f.path("x")); got > want+256 {
							t.Errorf("kept %d: %d blocks of 512, the source has %d", keep, got, want)
						}
						st.File.Release()
						check(t, os.Remove(f.path("x")))
					}
				})
			}
		}
	}
}

func TestFillSharesBlocksWhereItCan(t *testing.T) {
	for _, fs := range []string{"xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			disk := testfs.NewDisk(t, fs, "400M")
			f := openOn(t, disk.Dir)
			shape := extents{64 * mib, [][2]int64{{0, 64 * mib}}}
			src, _ := shape.write(t, disk.Dir)
			before := disk.Free()
			for _, keep := range []int64{64 * mib, 32*mib + 5} {
				st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
				check(t, f.Fill(st, src, keep))
				check(t, f.Commit(st, f.Root(), "x"))
				shape.verify(t, f.path("x"), keep)
				st.File.Release()
				if used := int64(before) - int64(disk.Free()); used > 4*mib {
					t.Errorf("a copy of %d bytes uses %d", keep, used)
				}
				check(t, os.Remove(f.path("x")))
			}
		})
	}
}
