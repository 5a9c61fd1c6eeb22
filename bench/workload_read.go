package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	page  = 4 << 10
	chunk = 1 << 20
)

func reRead(p *probe) (tally, error) {
	root, err := openRoot(p.Root)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(root)
	ptrs, err := cpaths(p.Files)
	if err != nil {
		return tally{}, err
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := readEach(root, p.Files, ptrs, func(b []byte) { sum.Write(b) }); err != nil {
		return tally{}, err
	}
	var total int
	err = p.time(func() error {
		total, err = readEach(root, p.Files, ptrs, nil)
		return err
	})
	return tally{len(p.Files), fmt.Sprintf("%d files, %d bytes, crc %08x", len(p.Files), total, sum.Sum32())}, err
}

// readEach reads all files to their ends.
func readEach(root int, names []string, ptrs []*byte, see func([]byte)) (int, error) {
	total, buf := 0, make([]byte, 128<<10)
	for i, ptr := range ptrs {
		fd, errno := openAt(root, ptr, unix.O_RDONLY, 0)
		if errno != 0 {
			return total, failed("open", names, i, errno)
		}
		for {
			n, errno := readFd(fd, buf)
			if errno != 0 {
				return total, failed("read", names, i, errno)
			}
			if n == 0 {
				break
			}
			total += n
			if see != nil {
				see(buf[:n])
			}
		}
		closeFd(fd)
	}
	return total, nil
}

// dataFile makes the file that the data workloads share in form: each page starts with its number. It returns an open
// descriptor, and how to be rid of both.
func (p *probe) dataFile() (int, func(), error) {
	dir, remove, err := p.workDir()
	if err != nil {
		return -1, nil, err
	}
	fd, err := unix.Open(filepath.Join(dir, "data"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return -1, nil, fmt.Errorf("create the data file: %w", err)
	}
	done := func() {
		closeFd(fd)
		if err := remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if err := p.fillData(fd); err != nil {
		done()
		return -1, nil, fmt.Errorf("fill the data file: %w", err)
	}
	return fd, done, nil
}

// fillData writes the whole file and syncs it.
func (p *probe) fillData(fd int) error {
	buf := make([]byte, chunk)
	for c := range p.Scale.FileMiB {
		for off := 0; off < chunk; off += page {
			binary.LittleEndian.PutUint64(buf[off:], uint64(c*chunk+off)/page)
		}
		if n, errno := writeFd(fd, buf); errno != 0 || n != chunk {
			return fmt.Errorf("write %d of %d bytes: %w", n, chunk, errno)
		}
	}
	return unix.Fsync(fd)
}

func seqRead(p *probe) (tally, error) {
	return p.readData(func(fd int) error { _, err := sumData(fd); return err })
}

func seqReadUncached(p *probe) (tally, error) {
	return p.readData(func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) })
}

// readData reads the data file from start to end for the clock, after prepare.
func (p *probe) readData(prepare func(fd int) error) (tally, error) {
	fd, done, err := p.dataFile()
	if err != nil {
		return tally{}, err
	}
	defer done()
	if err := prepare(fd); err != nil {
		return tally{}, err
	}
	var sum uint64
	err = p.time(func() error {
		sum, err = sumData(fd)
		return err
	})
	return tally{p.Scale.FileMiB, fmt.Sprintf("%d MiB, pages sum up to %d", p.Scale.FileMiB, sum)}, err
}

// sumData reads the file and adds up the pages' numbers.
func sumData(fd int) (uint64, error) {
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return 0, err
	}
	var sum uint64
	buf := make([]byte, chunk)
	for {
		n, errno := readFd(fd, buf)
		if errno != 0 {
			return 0, fmt.Errorf("read: %w", errno)
		}
		if n == 0 {
			return sum, nil
		}
		if n%page != 0 {
			return 0, fmt.Errorf("read returns %d bytes in the middle of a file", n)
		}
		for off := 0; off < n; off += page {
			sum += binary.LittleEndian.Uint64(buf[off:])
		}
	}
}

// pages is a sequence of random page numbers in the data file, the same for every contender.
func (p *probe) pages() []int64 {
	r := rand.New(rand.NewPCG(5, uint64(p.Round)))
	out := make([]int64, p.Scale.Random)
	for i := range out {
		out[i] = r.Int64N(int64(p.Scale.FileMiB) * chunk / page)
	}
	return out
}

func randRead(p *probe) (tally, error) {
	fd, done, err := p.dataFile()
	if err != nil {
		return tally{}, err
	}
	defer done()
	if _, err := sumData(fd); err != nil {
		return tally{}, err
	}
	pages, buf := p.pages(), make([]byte, page)
	err = p.time(func() error {
		for _, n := range pages {
			if got, errno := readAtFd(fd, buf, n*page); errno != 0 || got != page {
				return fmt.Errorf("read page %d: %d bytes: %w", n, got, errno)
			}
			if got := binary.LittleEndian.Uint64(buf); got != uint64(n) {
				return fmt.Errorf("page %d holds page %d", n, got)
			}
		}
		return nil
	})
	return tally{len(pages), fmt.Sprintf("%d pages", len(pages))}, err
}
