package layer

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// Content is the store of objects that are here already.
type Content interface {
	Bytes(id object.ID) ([]byte, bool)
	ReadAt(id object.ID, p []byte, off int64) (int, error)
	Size(id object.ID) (int64, bool)
	Open(id object.ID) (*os.File, error)
}

// Dicfuse is the monorepo at the commits that the nodes' states say. Immutable.
type Dicfuse struct {
	content  Content
	base     string        // the mounted subtree's path in the repository, "" for all of it
	uid, gid uint32        // of everything in it: git records no owners
	mtime    unix.Timespec // of what came with the first commit
}

var _ Layer = (*Dicfuse)(nil)

// NewDicfuse returns the layer for the subtree base of a commit made at the given time.
func NewDicfuse(content Content, base string, committed time.Time, uid, gid uint32) *Dicfuse {
	return &Dicfuse{content: content, base: base, uid: uid, gid: gid, mtime: unix.NsecToTimespec(committed.UnixNano())}
}

// Name implements Layer.
func (d *Dicfuse) Name() string { return "dicfuse" }

// Path returns the path in the repository of a node at this path in the mount.
func (d *Dicfuse) Path(inMount string) string {
	switch {
	case d.base == "":
		return inMount
	case inMount == "":
		return d.base
	default:
		return d.base + "/" + inMount
	}
}

// LowerMode maps a tree entry's mode to stat's. A submodule shows as an empty directory, as in a checkout without it.
func LowerMode(m object.Mode) uint32 {
	switch m {
	case object.ModeTree, object.ModeGitlink:
		return unix.S_IFDIR | 0o755
	case object.ModeExec:
		return unix.S_IFREG | 0o755
	case object.ModeSymlink:
		return unix.S_IFLNK | 0o777
	default:
		return unix.S_IFREG | 0o644
	}
}

// LowerState returns the state of an entry that nothing covers.
func LowerState(e object.Entry) tree.State {
	s := tree.State{Where: tree.Lower, Object: e.ID, Mode: LowerMode(e.Mode), Size: tree.UnknownSize}
	switch {
	case e.Mode == object.ModeGitlink:
		s.Object, s.Size = object.EmptyTree, 0
	case tree.IsDir(s.Mode), e.ID == object.EmptyBlob:
		s.Size = 0
	}
	return s
}

// Attr implements Layer; an unknown size is looked for in the content store.
func (d *Dicfuse) Attr(n *tree.Node, s *tree.State) (tree.Attr, error) {
	when := d.mtime
	if s.Pin != nil {
		when = s.Pin.Time
	}
	a := tree.Attr{
		Ino: n.Ino, Mode: s.Mode, Nlink: 1, UID: d.uid, GID: d.gid, Blksize: 4096,
		Size: s.Size, Atime: when, Mtime: when, Ctime: when,
	}
	if a.Size == tree.UnknownSize {
		size, ok := d.content.Size(s.Object)
		if !ok {
			return a, ErrNotLoaded
		}
		a.Size = size
	}
	if n.IsDir() {
		a.Size = 4096 // as ext4's
	}
	a.Blocks = (a.Size + 511) / 512
	if s.Orphan {
		a.Nlink = 0
	}
	return a, nil
}

// ReadAt implements Layer.
func (d *Dicfuse) ReadAt(_ *tree.Node, s *tree.State, p []byte, off int64) (int, error) {
	if s.Object == object.EmptyBlob {
		return 0, nil
	}
	n, err := d.content.ReadAt(s.Object, p, off)
	if err != nil {
		return 0, ErrNotLoaded // missing, or dropped because it had gone bad: both are mended by loading it
	}
	return n, nil
}

// Readlink implements Layer.
func (d *Dicfuse) Readlink(n *tree.Node, s *tree.State) (string, error) {
	if n.Type != unix.S_IFLNK {
		return "", fmt.Errorf("dicfuse: readlink: %w", unix.EINVAL)
	}
	b, ok := d.content.Bytes(s.Object)
	if !ok {
		return "", ErrNotLoaded
	}
	return string(b), nil
}

// Seek implements Layer: a git blob is data up to its end.
func (d *Dicfuse) Seek(n *tree.Node, s *tree.State, off int64, whence int) (int64, error) {
	a, err := d.Attr(n, s)
	if err != nil {
		return 0, err
	}
	if off < 0 || off >= a.Size {
		return 0, fmt.Errorf("dicfuse: lseek: %w", unix.ENXIO)
	}
	if whence == unix.SEEK_HOLE {
		return a.Size, nil
	}
	return off, nil
}

// Xattr implements Layer: git records none.
func (d *Dicfuse) Xattr(*tree.Node, *tree.State, string, []byte) (int, error) {
	return 0, unix.ENODATA
}

// Xattrs implements Layer.
func (d *Dicfuse) Xattrs(*tree.Node, *tree.State) ([]byte, error) { return nil, nil }

// Source implements Layer.
func (d *Dicfuse) Source(_ *tree.Node, s *tree.State) (Source, error) {
	if s.Object == object.EmptyBlob {
		return memory{bytes.NewReader(nil)}, nil
	}
	if f, err := d.content.Open(s.Object); err == nil {
		return f, nil
	}
	if b, ok := d.content.Bytes(s.Object); ok { // the disk tier is full: memory has it
		return memory{bytes.NewReader(b)}, nil
	}
	return nil, ErrNotLoaded
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }
