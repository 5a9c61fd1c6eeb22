package main

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropEntries makes the kernel forget the names and inodes that nobody uses. One pass only takes away their mark of
// recent use, and a directory can go only after what it holds: hence several. The blocks of disks stay cached, so that
// what is measured is the file system and not the disk. The pause lets servers work off the FORGETs.
func dropEntries() error {
	for range 4 {
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0); err != nil {
			return err
		}
	}
	time.Sleep(300 * time.Millisecond)
	return nil
}

func coldStat(p *probe) (tally, error) { return p.statAll(p.forget) }

// coldWalk lists each directory and stats what it finds there, as find and git do.
func coldWalk(p *probe) (tally, error) {
	root, err := openRoot(p.Root)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(root)
	names := p.Dirs[1:]
	ptrs, err := cpaths(names)
	if err != nil {
		return tally{}, err
	}
	var entries int
	var total uint64
	var st unix.Statx_t
	look := func(dir int, name []byte, _ byte) error {
		if name[0] == '.' && (name[1] == 0 || name[1] == '.' && name[2] == 0) {
			return nil
		}
		if errno := statAt(dir, unsafe.SliceData(name), &st); errno != 0 {
			return errno
		}
		if entries++; st.Mode&unix.S_IFMT == unix.S_IFREG {
			total += st.Size
		}
		return nil
	}
	if err := p.forget(); err != nil {
		return tally{}, err
	}
	err = p.time(func() error { return listEach(root, names, ptrs, look) })
	return tally{entries, fmt.Sprintf("%d entries, sizes: %t", entries, total > 0)}, err
}
