package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// inWorkDir runs f with a descriptor of a new directory in the tree, and removes that afterwards.
func (p *probe) inWorkDir(f func(dir int) (tally, error)) (got tally, err error) {
	path, remove, err := p.workDir()
	if err != nil {
		return tally{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	dir, err := openRoot(path)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(dir)
	return f(dir)
}

// numbered makes n names.
func numbered(prefix string, n int) ([]string, []*byte, error) {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%05d", prefix, i)
	}
	ptrs, err := cpaths(names)
	return names, ptrs, err
}

// entriesIn counts a directory's entries.
func entriesIn(dir int) (int, error) {
	here, err := cpaths([]string{"."})
	if err != nil {
		return 0, err
	}
	n := -2 // "." and ".."
	err = listEach(dir, []string{"."}, here, func(int, []byte, byte) error { n++; return nil })
	return n, err
}

func createUnlink(p *probe) (tally, error) {
	return p.inWorkDir(func(dir int) (tally, error) {
		names, ptrs, err := numbered("file", p.Scale.Entries)
		if err != nil {
			return tally{}, err
		}
		text := make([]byte, 1<<10)
		err = p.time(func() error { return createEach(dir, names, ptrs, text) })
		if err != nil {
			return tally{}, err
		}
		made, err := entriesIn(dir)
		if err != nil {
			return tally{}, err
		}
		err = p.time(func() error {
			for i, ptr := range ptrs {
				if errno := unlinkAt(dir, ptr, 0); errno != 0 {
					return failed("unlink", names, i, errno)
				}
			}
			return nil
		})
		if err != nil {
			return tally{}, err
		}
		left, err := entriesIn(dir)
		return tally{len(names), fmt.Sprintf("%d made, %d left", made, left)}, err
	})
}

func createEach(dir int, names []string, ptrs []*byte, text []byte) error {
	for i, ptr := range ptrs {
		fd, errno := openAt(dir, ptr, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o644)
		if errno != 0 {
			return failed("create", names, i, errno)
		}
		if n, errno := writeFd(fd, text); errno != 0 || n != len(text) {
			return failed("write", names, i, errno)
		}
		if errno := closeFd(fd); errno != 0 {
			return failed("close", names, i, errno)
		}
	}
	return nil
}

func mkdirRename(p *probe) (tally, error) {
	return p.inWorkDir(func(dir int) (tally, error) {
		names, from, err := numbered("old", p.Scale.Entries)
		if err != nil {
			return tally{}, err
		}
		_, to, err := numbered("new", p.Scale.Entries)
		if err != nil {
			return tally{}, err
		}
		err = p.time(func() error {
			for i := range from {
				if errno := mkdirAt(dir, from[i]); errno != 0 {
					return failed("mkdir", names, i, errno)
				}
				if errno := renameAt(dir, from[i], to[i]); errno != 0 {
					return failed("rename", names, i, errno)
				}
			}
			return nil
		})
		if err != nil {
			return tally{}, err
		}
		for i := range to { // not for the clock; fails where a rename was lost
			if errno := unlinkAt(dir, to[i], unix.AT_REMOVEDIR); errno != 0 {
				return tally{}, failed("rmdir after rename of", names, i, errno)
			}
		}
		left, err := entriesIn(dir)
		return tally{len(names), fmt.Sprintf("%d renamed, %d left", len(names), left)}, err
	})
}

func seqWrite(p *probe) (tally, error) {
	return p.inWorkDir(func(dir int) (tally, error) {
		fd, err := unix.Openat(dir, "data", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return tally{}, fmt.Errorf("create: %w", err)
		}
		defer closeFd(fd)
		if err := p.time(func() error { return p.fillData(fd) }); err != nil {
			return tally{}, err
		}
		sum, err := sumData(fd)
		return tally{p.Scale.FileMiB, fmt.Sprintf("%d MiB, pages sum up to %d", p.Scale.FileMiB, sum)}, err
	})
}

func randWrite(p *probe) (tally, error) {
	fd, done, err := p.dataFile()
	if err != nil {
		return tally{}, err
	}
	defer done()
	pages, buf := p.pages(), make([]byte, page)
	err = p.time(func() error {
		for _, n := range pages {
			binary.LittleEndian.PutUint64(buf, uint64(n)<<20)
			if got, errno := writeAtFd(fd, buf, n*page); errno != 0 || got != page {
				return fmt.Errorf("write page %d: %d bytes: %w", n, got, errno)
			}
		}
		return nil
	})
	if err != nil {
		return tally{}, err
	}
	sum, err := sumData(fd)
	return tally{len(pages), fmt.Sprintf("%d pages, sum %d", len(pages), sum)}, err
}

func fsyncAppend(p *probe) (tally, error) {
	return p.inWorkDir(func(dir int) (tally, error) {
		fd, err := unix.Openat(dir, "log", unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return tally{}, fmt.Errorf("create: %w", err)
		}
		f := os.NewFile(uintptr(fd), "log")
		defer f.Close()
		buf := make([]byte, page)
		err = p.time(func() error {
			for range p.Scale.Appends {
				if n, errno := writeFd(fd, buf); errno != 0 || n != page {
					return fmt.Errorf("append: %d bytes: %w", n, errno)
				}
				if err := unix.Fsync(fd); err != nil {
					return fmt.Errorf("fsync: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			return tally{}, err
		}
		info, err := f.Stat()
		if err != nil {
			return tally{}, err
		}
		return tally{p.Scale.Appends, fmt.Sprintf("%d bytes", info.Size())}, nil
	})
}
