package keeper

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxStored is how many descriptors are held at most, as FileDescriptorStoreMax of the systemd unit.
const maxStored = 16

var errFull = errors.New("too many descriptors stored")

// stored are descriptors by name, in the order in which they came. They are raw: an os.File might change their mode.
type stored struct {
	names []string
	fds   []int
}

// put takes a descriptor, in the place of one of the same name.
func (s *stored) put(name string, fd int) error {
	err := checkName(name)
	at := slices.Index(s.names, name)
	switch {
	case err != nil:
	case at >= 0:
		_ = unix.Close(s.fds[at])
		s.fds[at] = fd
	case len(s.fds) == maxStored:
		err = fmt.Errorf("%w: %d", errFull, maxStored)
	default:
		s.names, s.fds = append(s.names, name), append(s.fds, fd)
	}
	if err != nil {
		_ = unix.Close(fd)
	}
	return err
}

func (s *stored) remove(name string) {
	if at := slices.Index(s.names, name); at >= 0 {
		_ = unix.Close(s.fds[at])
		s.names, s.fds = slices.Delete(s.names, at, at+1), slices.Delete(s.fds, at, at+1)
	}
}

// get returns -1 if there is none.
func (s *stored) get(name string) int {
	if at := slices.Index(s.names, name); at >= 0 {
		return s.fds[at]
	}
	return -1
}

func (s *stored) close() {
	for _, fd := range s.fds {
		_ = unix.Close(fd)
	}
	s.names, s.fds = nil, nil
}

// mounted tells whether the kernel still has the mount; false if there never was one.
func (s *stored) mounted() bool {
	fd := s.get(FuseName)
	return fd >= 0 && lives(fd)
}

// Mounted tells whether the kernel still has the mount that a descriptor is its end of.
func Mounted(fuse *os.File) bool {
	raw, err := fuse.SyscallConn()
	if err != nil {
		return false
	}
	var is bool
	err = raw.Control(func(fd uintptr) { is = lives(int(fd)) })
	return err == nil && is
}

func lives(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	for {
		_, err := unix.Poll(fds, 0)
		if err != unix.EINTR { // a bare errno
			return err != nil || fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0
		}
	}
}

// list is LISTEN_FDNAMES.
func (s *stored) list() string { return strings.Join(s.names, ":") }
