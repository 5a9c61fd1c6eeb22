package upper

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Original is what a promotion must reproduce of a lower file.
type Original struct {
	Birth
	Mtime unix.Timespec
	Mark  []byte // the node's number, tree.EncodeIno's form; nil for a file that is born in upper
}

// Staged is a file built in the work directory, not yet visible.
type Staged struct {
	File *File // the caller's reference
	name string
	orig Original
}

// Stage builds a copy of o in the work directory, without content. Errors leave nothing behind.
func (s *Store) Stage(o Original) (*Staged, error) {
	name := s.tmpName()
	f, err := s.make(s.tmp, name, o.Birth)
	if err != nil {
		return nil, err
	}
	st := &Staged{File: f, name: name, orig: o}
	if o.Mark == nil {
		return st, nil
	}
	if err := setXattr(f, s.prefix+inoName, o.Mark, 0); err != nil {
		// user.* attributes exist for files and directories only; without the mark a symbolic link's number changes at the
		// next mount, which its limits say.
		if s.prefix == trustedPrefix || o.Mode&unix.S_IFMT == unix.S_IFREG || o.Mode&unix.S_IFMT == unix.S_IFDIR {
			s.Abandon(st)
			return nil, err
		}
	}
	return st, nil
}

// Fill copies up to size bytes of src into the staged file, by reflink where the whole file is wanted and the file systems
// can, else by copy_file_range, else through memory; then makes the content durable, since the rename that follows must
// not become durable before it.
func (s *Store) Fill(st *Staged, src io.ReaderAt, size int64) error {
	if size == 0 {
		return nil
	}
	dst := st.File.fd
	if file, ok := src.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Size() == size && unix.IoctlFileClone(dst, int(file.Fd())) == nil {
			return st.File.Sync(true)
		}
		if done, err := copyRange(dst, int(file.Fd()), size); err == nil {
			if done != size {
				return wrap("copy", io.ErrUnexpectedEOF)
			}
			return st.File.Sync(true)
		} else if !errors.Is(err, unix.EXDEV) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
			return wrap("copy", err)
		}
	}
	if err := copyBuffered(st.File, src, size); err != nil {
		return err
	}
	return st.File.Sync(true)
}

// CopyRange copies length bytes within upper, sharing blocks where the file system can.
func (f *File) CopyRange(src *File, srcOff, dstOff int64, length int) (int, error) {
	n, err := unix.CopyFileRange(src.fd, &srcOff, f.fd, &dstOff, length, 0)
	return max(n, 0), wrap("copy_file_range", err)
}

func copyRange(dst, src int, size int64) (done int64, err error) {
	var from, to int64
	for done < size {
		n, err := unix.CopyFileRange(src, &from, dst, &to, int(min(size-done, 1<<30)), 0)
		if err != nil {
			return done, err
		}
		if n == 0 {
			break
		}
		done += int64(n)
	}
	return done, nil
}

func copyBuffered(dst *File, src io.ReaderAt, size int64) error {
	buf := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; {
		n, err := src.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return wrap("copy", err)
		}
		w, err := dst.WriteAt(buf[:n], off)
		if err != nil {
			return err
		}
		if w < n {
			return wrap("copy", unix.ENOSPC)
		}
		off += int64(n)
	}
	return nil
}

// Commit puts the staged file at dir/name, which upper must not have yet, leaving dir's times as they are: nothing
// changed that a user could see.
func (s *Store) Commit(st *Staged, dir *File, name string) error {
	if err := s.finish(st); err != nil {
		return err
	}
	parent, err := dir.Stat()
	if err != nil {
		return err
	}
	if err := unix.Renameat2(s.tmp.fd, st.name, dir.fd, name, unix.RENAME_NOREPLACE); err != nil {
		return wrap("commit "+name, err)
	}
	return dir.Utimes(parent.Atim, parent.Mtim)
}

// CommitOrphan puts the staged file aside as the orphan with this number: its node has lost its name.
func (s *Store) CommitOrphan(st *Staged, ino uint64) error {
	if err := s.finish(st); err != nil {
		return err
	}
	return wrap("commit orphan", unix.Renameat2(s.tmp.fd, st.name, s.orphans.fd, orphanName(ino), unix.RENAME_NOREPLACE))
}

// finish sets what writing the content changed. A file that is born in upper has its own times.
func (s *Store) finish(st *Staged) error {
	if st.orig.Mark == nil {
		return nil
	}
	return st.File.Utimes(st.orig.Mtime, st.orig.Mtime)
}

// Abandon removes a staged file that will not be committed, and releases it.
func (s *Store) Abandon(st *Staged) {
	st.File.Release()
	_ = unix.Unlinkat(s.tmp.fd, st.name, removeFlag(st.orig.Mode))
}
