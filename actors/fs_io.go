package actors

import (
	"bytes"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// Read fills p with the file's bytes from off; a short count means its end.
func (f *FS) Read(who Caller, ino uint64, p []byte, off int64) (int, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return 0, err
	}
	if err := f.core.spoils.check(ino, off, time.Now); err != nil {
		return 0, err
	}
	f.core.touch(n, n.State(), tree.Read)
	for range maxReloads {
		s := n.State()
		count, err := f.core.layerOf(s).ReadAt(n, s, p, off)
		if !errors.Is(err, layer.ErrNotLoaded) {
			return count, err
		}
		if count, ok := f.readArriving(n, s, p, off); ok {
			return count, nil
		}
		if err := f.fetchPart(who, s, off+int64(len(p))); err != nil {
			return 0, err
		}
	}
	f.core.log.Warn("content does not stay in the store", slog.String("path", n.Path()), slog.String("id", n.State().Object.String()))
	return 0, ErrOrigin
}

// fetch brings a lower file's content here.
func (f *FS) fetch(who Caller, s *tree.State) error {
	return f.ask(who, &f.core.loader.Owner, &fetchBlob{Source: f.core.source, ID: s.Object})
}

// Readlink returns a symbolic link's target.
func (f *FS) Readlink(who Caller, ino uint64) (string, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return "", err
	}
	f.core.touch(n, n.State(), tree.Read)
	for range maxReloads {
		s := n.State()
		target, err := f.core.layerOf(s).Readlink(n, s)
		if !errors.Is(err, layer.ErrNotLoaded) {
			return target, err
		}
		if err := f.fetch(who, s); err != nil {
			return "", err
		}
	}
	return "", ErrOrigin
}

// Promote copies a file up, if it is not in upper.
func (f *FS) Promote(who Caller, ino uint64) error {
	file, err := f.writable(who, ino)
	if err == nil {
		file.Release()
	}
	return err
}

// writable returns the node's upper file, acquired, promoting the node first if need be.
func (f *FS) writable(who Caller, ino uint64) (*upper.File, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return nil, err
	}
	if n.State().Where == tree.Lower {
		if err := f.ask(who, n.Owner, &promoteNode{Node: n, Keep: keepAll}); err != nil {
			return nil, err
		}
	}
	return f.core.upper.Open(n)
}

// Write writes p at off. dropSetID clears set-uid and set-gid as a write by an unprivileged caller does.
func (f *FS) Write(who Caller, ino uint64, p []byte, off int64, dropSetID bool) (int, error) {
	file, err := f.writable(who, ino)
	if err != nil {
		return 0, err
	}
	defer file.Release()
	n, err := file.WriteAt(p, off)
	if err == nil && dropSetID {
		err = f.dropSetID(who, file, ino, func(Caller) bool { return false })
	}
	return n, err
}

// dropSetID clears set-uid and set-gid after a change of content, unless the caller may keep them. The SETATTR before it has
// done so, if the kernel knows of them and we believed it (see dropOnly); else the kernel is told, since the answer has no
// attributes.
func (f *FS) dropSetID(who Caller, file *upper.File, ino uint64, keeps func(Caller) bool) error {
	st, err := file.Stat()
	if err != nil || st.Mode&(unix.S_ISUID|unix.S_ISGID) == 0 || keeps(who) {
		return err
	}
	dropped, err := file.DropPrivileges(who.member)
	if dropped {
		f.core.notifier.Tell(&invalidateInode{Ino: ino})
	}
	return err
}

// Allocate is fallocate.
func (f *FS) Allocate(who Caller, ino uint64, mode uint32, off, length int64) error {
	file, err := f.writable(who, ino)
	if err != nil {
		return err
	}
	defer file.Release()
	err = file.Allocate(mode, off, length)
	if err != nil {
		f.core.notifier.Tell(&invalidateInode{Ino: ino}) // ext4 leaves a file as large as there was room; the kernel does not ask
		return err
	}
	return f.dropSetID(who, file, ino, Caller.maySetID)
}

// Sync makes a file or directory durable. What is still in the lower layer has nothing to lose.
func (f *FS) Sync(who Caller, ino uint64, dataOnly bool) error {
	n, err := f.node(who, ino)
	if err != nil || n.State().Where == tree.Lower {
		return err
	}
	file, err := f.core.upper.Open(n)
	if err != nil {
		return err
	}
	defer file.Release()
	return file.Sync(dataOnly)
}

// Seek answers SEEK_DATA and SEEK_HOLE.
func (f *FS) Seek(who Caller, ino uint64, off int64, whence int) (int64, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return 0, err
	}
	for range maxReloads {
		s := n.State()
		at, err := f.core.layerOf(s).Seek(n, s, off, whence)
		if !errors.Is(err, layer.ErrNotLoaded) {
			return at, err
		}
		if err := f.fetch(who, s); err != nil {
			return 0, err
		}
	}
	return 0, ErrOrigin
}

// CopyRange is copy_file_range; the files may share blocks afterwards.
func (f *FS) CopyRange(who Caller, from uint64, fromOff int64, to uint64, toOff int64, length int) (int, error) {
	src, err := f.node(who, from)
	if err != nil {
		return 0, err
	}
	if src.State().Where == tree.Lower {
		return 0, errno("copy_file_range", unix.EXDEV) // the kernel then copies by itself, which needs no special case here
	}
	dst, err := f.writable(who, to)
	if err != nil {
		return 0, err
	}
	defer dst.Release()
	in, err := f.core.upper.Open(src)
	if err != nil {
		return 0, err
	}
	defer in.Release()
	n, err := dst.CopyRange(in, fromOff, toOff, length)
	if err == nil {
		err = f.dropSetID(who, dst, to, Caller.maySetID)
	}
	return n, err
}

// ACLs tells whether files can have POSIX access control lists: whether those in upper can.
func (f *FS) ACLs() bool { return f.core.upper.Store.ACLs() }

// Statfs describes the file system that upper is on: the space there is for changes.
func (f *FS) Statfs() (unix.Statfs_t, error) { return f.core.upper.Store.Root().Statfs() }

// Xattr reads an extended attribute into dst and returns its length, or with an empty dst its length alone. ENODATA if there is
// none, ERANGE if dst is too short.
func (f *FS) Xattr(who Caller, ino uint64, name string, dst []byte) (int, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return 0, err
	}
	s := n.State()
	size, err := f.core.layerOf(s).Xattr(n, s, name, dst)
	if s.Where == tree.Lower && errors.Is(err, unix.EOPNOTSUPP) && upper.IsACL(name) {
		err = unix.ENODATA // files there have none; the kernel would take the refusal for one of access
	}
	return size, err
}

// Xattrs returns the names of the extended attributes that the caller may see, each ended by a zero byte.
func (f *FS) Xattrs(who Caller, ino uint64) ([]byte, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return nil, err
	}
	s := n.State()
	names, err := f.core.layerOf(s).Xattrs(n, s)
	if err != nil || !bytes.Contains(names, []byte(trusted)) || who.seesTrusted() {
		return names, err
	}
	var seen []byte
	for name := range bytes.SplitAfterSeq(names, []byte{0}) {
		if !bytes.HasPrefix(name, []byte(trusted)) {
			seen = append(seen, name...)
		}
	}
	return seen, nil
}

// trusted begins the names of attributes that only an administrator has: the kernel keeps everybody else from reading them, but
// leaves it to file systems not to list them.
const trusted = "trusted."
