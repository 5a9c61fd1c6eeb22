package main

import (
	"encoding/binary"
	"fmt"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// names are directories and files in one order: each directory before what it holds.
func (p *probe) names() []string { return append(append([]string{}, p.Dirs...), p.Files...) }

// statEach stats all names and sums up the files' sizes.
func statEach(root int, names []string, ptrs []*byte) (uint64, error) {
	var total uint64
	var st unix.Statx_t
	for i, ptr := range ptrs {
		if errno := statAt(root, ptr, &st); errno != 0 {
			return 0, failed("stat", names, i, errno)
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG { // sizes of directories are each file system's own affair
			total += st.Size
		}
	}
	return total, nil
}

func statWalk(p *probe) (tally, error) { return p.statAll(nil) }

// statAll stats everything once to warm up and once for the clock, with what goes between.
func (p *probe) statAll(between func() error) (tally, error) {
	root, err := openRoot(p.Root)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(root)
	names := p.names()
	ptrs, err := cpaths(names)
	if err != nil {
		return tally{}, err
	}
	if _, err := statEach(root, names, ptrs); err != nil {
		return tally{}, err
	}
	if between != nil {
		if err := between(); err != nil {
			return tally{}, err
		}
	}
	var total uint64
	err = p.time(func() error {
		total, err = statEach(root, names, ptrs)
		return err
	})
	if between != nil { // the bare servers' tree does not grow by the copy-up workloads of earlier rounds
		return tally{len(names), fmt.Sprintf("%d names, sizes: %t", len(names), total > 0)}, err
	}
	return tally{len(names), fmt.Sprintf("%d names, %d bytes", len(names), total)}, err
}

// listBuffer holds what one getdents64 returns.
const listBuffer = 32 << 10

// listEach lists all directories; each is called for each entry's name and type.
func listEach(root int, names []string, ptrs []*byte, each func(dir int, name []byte, kind byte) error) error {
	buf := make([]byte, listBuffer)
	for i, ptr := range ptrs {
		fd, errno := openAt(root, ptr, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if errno != 0 {
			return failed("open", names, i, errno)
		}
		for {
			n, errno := listFd(fd, buf)
			if errno != 0 {
				return failed("list", names, i, errno)
			}
			if n == 0 {
				break
			}
			if err := eachEntry(buf[:n], fd, each); err != nil {
				return fmt.Errorf("list %s: %w", names[i], err)
			}
		}
		closeFd(fd)
	}
	return nil
}

// eachEntry takes getdents64's records apart: inode and offset (8 bytes each), length (2), type (1), name, NUL.
func eachEntry(buf []byte, fd int, each func(dir int, name []byte, kind byte) error) error {
	for len(buf) > 0 {
		size := binary.NativeEndian.Uint16(buf[16:])
		if err := each(fd, buf[19:size], buf[18]); err != nil {
			return err
		}
		buf = buf[size:]
	}
	return nil
}

func dirWalk(p *probe) (tally, error) {
	root, err := openRoot(p.Root)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(root)
	names := p.Dirs[1:] // the root also holds what workloads of other rounds leave
	ptrs, err := cpaths(names)
	if err != nil {
		return tally{}, err
	}
	entries := 0
	count := func(int, []byte, byte) error { entries++; return nil }
	for range 2 { // readdirplus and plain readdir fill different caches: the second pass may still be new
		if err := listEach(root, names, ptrs, count); err != nil {
			return tally{}, err
		}
	}
	entries = 0
	err = p.time(func() error { return listEach(root, names, ptrs, count) })
	return tally{len(names), fmt.Sprintf("%d directories, %d entries", len(names), entries)}, err
}

func openStat(p *probe) (tally, error) {
	root, err := openRoot(p.Root)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(root)
	names := p.hot(p.Scale)
	ptrs, err := cpaths(names)
	if err != nil {
		return tally{}, err
	}
	var total int64
	pass := func() error {
		var st unix.Stat_t
		for i, ptr := range ptrs {
			fd, errno := openAt(root, ptr, unix.O_RDONLY, 0)
			if errno != 0 {
				return failed("open", names, i, errno)
			}
			if errno := statFd(fd, &st); errno != 0 {
				return failed("fstat", names, i, errno)
			}
			closeFd(fd)
			total += st.Size
		}
		return nil
	}
	return p.repeat(pass, len(names), func() string { return fmt.Sprintf("%d bytes", total) })
}

func negative(p *probe) (tally, error) {
	root, err := openRoot(p.Root)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(root)
	var names []string
	for _, f := range p.hot(p.Scale) {
		names = append(names, path.Join(path.Dir(f), "not-there.h"))
	}
	ptrs, err := cpaths(names)
	if err != nil {
		return tally{}, err
	}
	absent := 0
	pass := func() error {
		var st unix.Statx_t
		for i, ptr := range ptrs {
			if errno := statAt(root, ptr, &st); errno != syscall.ENOENT {
				return failed("stat", names, i, errno)
			}
			absent++
		}
		return nil
	}
	return p.repeat(pass, len(names), func() string { return fmt.Sprintf("%d absent", absent) })
}

// repeat runs a pass of n operations once to warm up and then the scale's number of times for the clock.
func (p *probe) repeat(pass func() error, n int, check func() string) (tally, error) {
	if err := pass(); err != nil {
		return tally{}, err
	}
	err := p.time(func() error {
		for range p.Scale.Repeats {
			if err := pass(); err != nil {
				return err
			}
		}
		return nil
	})
	return tally{n * p.Scale.Repeats, check()}, err
}
