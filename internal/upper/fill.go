package upper

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Fill copies the first size bytes of src into the staged file. A file is cloned where the file systems can; else its
// extents are copied and its holes stay holes. What comes from memory is written as it is. Seal makes the content durable.
func (s *Store) Fill(st *Staged, src io.ReaderAt, size int64) error {
	if size == 0 {
		return nil
	}
	file, ok := src.(*os.File)
	if !ok {
		return copyBuffered(st.File, src, 0, size)
	}
	info, err := file.Stat()
	if err != nil {
		return wrap("copy", err)
	}
	if info.Size() < size {
		return wrap("copy", io.ErrUnexpectedEOF)
	}
	from := int(file.Fd())
	if unix.IoctlFileClone(st.File.fd, from) == nil {
		if info.Size() == size {
			return nil
		}
		return st.File.Truncate(size)
	}
	return copyExtents(st.File, file, size)
}

// copyExtents copies what of src is data, and leaves the rest of size a hole.
func copyExtents(dst *File, src *os.File, size int64) error {
	if err := dst.Truncate(size); err != nil {
		return err
	}
	from := int(src.Fd())
	for off := int64(0); off < size; {
		data, err := unix.Seek(from, off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // the rest is a hole
		}
		end := size
		if err != nil {
			data = off // it knows no holes
		} else if hole, err := unix.Seek(from, data, unix.SEEK_HOLE); err == nil && hole > data {
			end = min(hole, size)
		}
		if data >= size {
			return nil
		}
		if err := copyExtent(dst, src, data, end); err != nil {
			return err
		}
		off = end
	}
	return nil
}

// copyExtent copies src from off to end by copy_file_range, or through memory where the two files' file systems differ.
func copyExtent(dst *File, src *os.File, off, end int64) error {
	for off < end {
		from, to := off, off
		n, err := unix.CopyFileRange(int(src.Fd()), &from, dst.fd, &to, int(min(end-off, 1<<30)), 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
			return copyBuffered(dst, src, off, end)
		case err != nil:
			return wrap("copy", err)
		case n == 0:
			return wrap("copy", io.ErrUnexpectedEOF)
		}
		off += int64(max(n, 0))
	}
	return nil
}

// copyBuffered copies src from off to end through memory.
func copyBuffered(dst *File, src io.ReaderAt, off, end int64) error {
	buf := make([]byte, min(end-off, 1<<20))
	for off < end {
		n, err := src.ReadAt(buf[:min(int64(len(buf)), end-off)], off)
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

// CopyRange copies length bytes within upper, sharing blocks where the file system can.
func (f *File) CopyRange(src *File, srcOff, dstOff int64, length int) (int, error) {
	if f.ro != nil {
		return 0, wrap("copy_file_range", f.ro)
	}
	n, err := unix.CopyFileRange(src.fd, &srcOff, f.fd, &dstOff, length, 0)
	return max(n, 0), wrap("copy_file_range", err)
}
