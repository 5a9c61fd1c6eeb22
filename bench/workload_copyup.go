package main

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

func copyUpSmall(p *probe) (tally, error) { return p.copyUp(p.fresh(p.Scale, p.Round)) }

func copyUpLarge(p *probe) (tally, error) {
	return p.copyUp([]string{path.Join(ownDir, largeName(p.Round))})
}

// copyUp appends a byte to each file, which no round has touched before. They are read first: what is measured is the
// promotion of content that is near, not its way here.
func (p *probe) copyUp(names []string) (tally, error) {
	root, err := openRoot(p.Root)
	if err != nil {
		return tally{}, err
	}
	defer closeFd(root)
	ptrs, err := cpaths(names)
	if err != nil {
		return tally{}, err
	}
	before, err := readEach(root, names, ptrs, nil)
	if err != nil {
		return tally{}, err
	}
	err = p.time(func() error {
		for i, ptr := range ptrs {
			fd, errno := openAt(root, ptr, unix.O_WRONLY|unix.O_APPEND, 0)
			if errno != 0 {
				return failed("open", names, i, errno)
			}
			if _, errno := writeFd(fd, []byte{'\n'}); errno != 0 {
				return failed("append to", names, i, errno)
			}
			if errno := closeFd(fd); errno != 0 {
				return failed("close", names, i, errno)
			}
		}
		return nil
	})
	if err != nil {
		return tally{}, err
	}
	after, err := readEach(root, names, ptrs, nil)
	if err == nil && after != before+len(names) {
		err = fmt.Errorf("%d bytes became %d; want one more in each of %d files", before, after, len(names))
	}
	return tally{len(names), fmt.Sprintf("%d files, %d bytes", len(names), after)}, err
}
