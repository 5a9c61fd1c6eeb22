package fusebridge

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/upper"
	"golang.org/x/sys/unix"
)

// ReadDir implements fuse.RawFileSystem.
func (r *raw) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return r.list(cancel, in, func(e fuse.DirEntry, _ string) bool { return out.AddDirEntry(e) })
}

// missesAllowed is how many files of a listing may be looked for in the content store in vain. Of a directory that was just
// fetched nothing is there, and each look costs a system call; of one that was read before, all is.
const missesAllowed = 3

// ReadDirPlus implements fuse.RawFileSystem. An entry whose attributes are not known here goes without them: a listing must
// not fetch file contents to learn their sizes.
func (r *raw) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	misses := 0
	return r.list(cancel, in, func(e fuse.DirEntry, name string) bool {
		entry := out.AddDirLookupEntry(e)
		if entry == nil {
			return false
		}
		if name == "." || name == ".." {
			return true
		}
		if a, ok := r.fs.LookupKnown(caller(cancel, &in.InHeader), in.NodeId, name, misses < missesAllowed); ok {
			r.fillEntry(&a, entry)
		} else {
			misses++
		}
		return true
	})
}

// list gives add the entries of a directory stream as the kernel gets them, each with its name, until add refuses one.
func (r *raw) list(cancel <-chan struct{}, in *fuse.ReadIn, add func(e fuse.DirEntry, name string) bool) fuse.Status {
	p := parsePosition(in.Offset)
	return status(r.fs.Readdir(caller(cancel, &in.InHeader), in.NodeId, p.cursor, func(e actors.DirEntry) bool {
		var sent string
		p, sent = p.after(e.Next, e.Name)
		return add(fuse.DirEntry{Ino: e.Ino, Mode: e.Type, Name: sent, Off: p.offset()}, e.Name)
	}))
}

// birth describes the file that the caller wants made.
func birth(h *fuse.InHeader, mode, umask uint32) upper.Birth {
	return upper.Birth{Mode: mode, Umask: umask, UID: h.Uid, GID: h.Gid}
}

// Mknod implements fuse.RawFileSystem; it makes regular files as well.
func (r *raw) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	mode := in.Mode
	if mode&unix.S_IFMT == 0 {
		mode |= unix.S_IFREG
	}
	b := birth(&in.InHeader, mode, in.Umask)
	b.Rdev = decodeDev(in.Rdev)
	return r.create(cancel, &in.InHeader, name, b, out)
}

// Mkdir implements fuse.RawFileSystem.
func (r *raw) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return r.create(cancel, &in.InHeader, name, birth(&in.InHeader, in.Mode&^unix.S_IFMT|unix.S_IFDIR, in.Umask), out)
}

// Symlink implements fuse.RawFileSystem.
func (r *raw) Symlink(cancel <-chan struct{}, h *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	b := birth(h, unix.S_IFLNK|0o777, 0)
	b.Target = target
	return r.create(cancel, h, name, b, out)
}

func (r *raw) create(cancel <-chan struct{}, h *fuse.InHeader, name string, b upper.Birth, out *fuse.EntryOut) fuse.Status {
	if err := r.ids.birth(&b); err != nil {
		return status(err)
	}
	a, err := r.fs.Create(caller(cancel, h), h.NodeId, name, b)
	if err != nil {
		return status(err)
	}
	r.fillEntry(&a, out)
	return fuse.OK
}

// Tmpfile implements fuse.RawFileSystem.
func (r *raw) Tmpfile(cancel <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	b := birth(&in.InHeader, in.Mode&^unix.S_IFMT|unix.S_IFREG, in.Umask)
	if err := r.ids.birth(&b); err != nil {
		return status(err)
	}
	a, err := r.fs.CreateTemp(caller(cancel, &in.InHeader), in.NodeId, b)
	if err != nil {
		return status(err)
	}
	r.fillEntry(&a, &out.EntryOut)
	return fuse.OK
}

// Link implements fuse.RawFileSystem.
func (r *raw) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	a, err := r.fs.Link(caller(cancel, &in.InHeader), in.Oldnodeid, in.NodeId, name)
	if err != nil {
		return status(err)
	}
	r.fillEntry(&a, out)
	return fuse.OK
}

// Unlink implements fuse.RawFileSystem.
func (r *raw) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return status(r.fs.Remove(caller(cancel, h), h.NodeId, name, false))
}

// Rmdir implements fuse.RawFileSystem.
func (r *raw) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return status(r.fs.Remove(caller(cancel, h), h.NodeId, name, true))
}

// Rename implements fuse.RawFileSystem.
func (r *raw) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	return status(r.fs.Rename(caller(cancel, &in.InHeader), in.NodeId, oldName, in.Newdir, newName, in.Flags))
}
