package upper

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The index is work/links: one link to each copied-up file that has several names in a local lower layer. Those of its names
// that nobody wrote to are not in upper; the index leads from them to the one file. It stays across mounts.

// Index adds a staged file, which has links names in all, to the index under its node's number.
func (s *Store) Index(st *Staged, ino uint64, links uint32) error {
	if err := s.SetLinks(st.File, func() uint32 { return links }); err != nil {
		return err
	}
	return wrap("index", unix.Linkat(s.tmp.fd, st.name, s.links.fd, orphanName(ino), 0))
}

// Unindex takes that back.
func (s *Store) Unindex(ino uint64) {
	_ = unix.Unlinkat(s.links.fd, orphanName(ino), 0)
}

// SetLinks records how many names a file has in all. Two names may come or go at once: count is asked under a lock, so that
// what is recorded last is the latest.
func (s *Store) SetLinks(f *File, count func() uint32) error {
	s.counting.Lock()
	defer s.counting.Unlock()
	return setXattr(f, s.prefix+linksName, binary.LittleEndian.AppendUint32(nil, count()), 0)
}

func decodeLinks(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// OpenIndexed opens the file that the index has under this number. ErrNotExist if it has none.
func (s *Store) OpenIndexed(ino uint64, typ uint32) (*File, error) {
	return s.OpenChild(s.links, orphanName(ino), typ)
}

// Indexed returns the number in upper of the file that the index has under a node's number, and how many names it has in
// all; ok is false if there is none.
func (s *Store) Indexed(ino uint64) (upperIno uint64, links uint32, ok bool) {
	name := orphanName(ino)
	st, err := s.StatChild(s.links, name)
	if err != nil {
		return 0, 0, false
	}
	sc := scanner{fd: s.links.fd, prefix: s.prefix}
	var buf [4]byte
	links = decodeLinks(sc.mark(name, linksName, buf[:]))
	return st.Ino, links, links > 0
}

// OrphanIndexed moves the file that has lost its last name from the index to the orphans.
func (s *Store) OrphanIndexed(ino uint64) error {
	return wrap("orphan", unix.Renameat2(s.links.fd, orphanName(ino), s.orphans.fd, orphanName(ino), 0))
}

// LinkIndexed gives an indexed file the name dir/name in upper, which it has below already, leaving dir's times as they are.
func (s *Store) LinkIndexed(ino uint64, dir *File, name string) error {
	return keepTimes(dir, func() error {
		return wrap("link "+name, unix.Linkat(s.links.fd, orphanName(ino), dir.fd, name, 0))
	})
}

// openIndex opens work/links. Links of another upper directory than this one are worth nothing, and would bring back what
// was deleted with it: the index carries its upper's number and time of birth.
func (s *Store) openIndex(work *File) (err error) {
	if s.links, err = s.subdir(work, "links"); err != nil {
		return err
	}
	var st unix.Statx_t
	if err := unix.Statx(s.root.fd, "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return wrap("stat", err)
	}
	of := fmt.Sprintf("%d %d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec)
	var buf [64]byte
	n, err := unix.Fgetxattr(s.links.fd, s.prefix+upperName, buf[:])
	if err == nil && string(buf[:n]) == of {
		return nil
	}
	if err != nil && !errors.Is(err, unix.ENODATA) {
		return wrap("getxattr", err)
	}
	if err := s.clear(s.links); err != nil {
		return err
	}
	return setXattr(s.links, s.prefix+upperName, []byte(of), 0)
}
