package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/antares-actor/antares-actor/internal/object"
)

// readDisk is ReadAt below the memory tier.
func (s *Store) readDisk(id object.ID, p []byte, off int64) (int, error) {
	if h := s.large.peek(id); h == nil {
		b, err := s.load(id)
		if !errors.Is(err, errLarge) {
			return copyAt(p, b, off), err
		}
	}
	for {
		h, err := s.large.take(id, s.openUsed)
		if err != nil {
			return 0, err
		}
		n, err := h.f.ReadAt(p, off)
		switch {
		case err == nil || errors.Is(err, io.EOF):
			h.use(s.disk)
			return n, nil
		case errors.Is(err, os.ErrClosed): // makeRoom chose it between take and here
			s.large.forget(id, h)
			continue
		}
		s.large.forget(id, h)
		return 0, s.unreadable(id, h.info, err)
	}
}

// openTrusted opens an object's file whose size, and of a large object its content, may be believed.
func (s *Store) openTrusted(id object.ID) (*os.File, fs.FileInfo, error) {
	f, info, err := s.disk.open(id)
	if err != nil {
		return nil, nil, s.missing(id, err)
	}
	if s.disk.trusts(info) || info.Size() == 0 && empty(id) {
		return f, info, nil
	}
	if err := s.verify(f, id, info); err != nil {
		return nil, nil, err
	}
	s.disk.vouch(f)
	return f, info, nil
}

// openUsed is openTrusted for a reader of the content.
func (s *Store) openUsed(id object.ID) (*os.File, fs.FileInfo, error) {
	f, info, err := s.openTrusted(id)
	if err != nil {
		return nil, nil, err
	}
	if s.verifies && info.Size() > SmallMax { // load verifies all others
		if err := s.verify(f, id, info); err != nil {
			return nil, nil, err
		}
	}
	s.disk.touch(f, info)
	return f, info, nil
}

// openVerified opens an object's file for a reader who will not hash what he reads.
func (s *Store) openVerified(id object.ID) (*os.File, error) {
	f, info, err := s.openUsed(id)
	if err != nil {
		return nil, err
	}
	if _, inMemory := s.mem.bytes(id); inMemory || info.Size() > SmallMax || info.Size() == 0 {
		return f, nil // what memory holds was verified as it came from, or went to, this file
	}
	if err := s.verify(f, id, info); err != nil {
		return nil, err
	}
	return f, nil
}

// verify hashes an open file, or closes it: one that does not hold the object is deleted, and the error is ErrMissing.
func (s *Store) verify(f *os.File, id object.ID, info fs.FileInfo) error {
	right, err := holds(f, id, info.Size(), s.buffers)
	if right {
		return nil
	}
	_ = f.Close()
	if err != nil {
		return s.unreadable(id, info, err)
	}
	s.drop(id, info)
	return ErrMissing
}

// sumOf is the id of a file's content as an object of this kind.
func sumOf(f io.ReaderAt, kind object.Kind, size int64, buffers buffers) (object.ID, error) {
	h := object.NewHash(kind, size)
	buf := buffers.take()
	defer buffers.give(buf)
	n, err := io.CopyBuffer(h, onlyReader{io.NewSectionReader(f, 0, size)}, *buf)
	if err != nil {
		return object.ID{}, err
	}
	if n != size {
		return object.ID{}, fmt.Errorf("%d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)
	}
	var id object.ID
	h.Sum(id[:0])
	return id, nil
}

// onlyReader hides WriteTo, which would make CopyBuffer ignore its buffer.
type onlyReader struct{ io.Reader }
