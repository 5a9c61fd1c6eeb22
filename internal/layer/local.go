package layer

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/lower"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// Local is the local lower layers, which are one Layer: a node's state says which of them has it. Immutable.
type Local struct {
	dirs   []*lower.Dir // topmost first
	origin bool         // Dicfuse is below them
}

var _ Layer = (*Local)(nil)

// NewLocal returns the layer over open directories, topmost first. It takes them over. origin says that Dicfuse is below.
func NewLocal(dirs []*lower.Dir, origin bool) *Local { return &Local{dirs: dirs, origin: origin} }

// Close releases the directories. No method may run or be called after it.
func (l *Local) Close() {
	for _, d := range l.dirs {
		d.Close()
	}
}

// Name implements Layer.
func (l *Local) Name() string { return "local" }

// Roots returns the halves of a mount's root, nil if there are no local lower layers.
func (l *Local) Roots() []tree.Half {
	var roots []tree.Half
	for i := range l.dirs {
		roots = append(roots, tree.Half{Layer: i})
	}
	return roots
}

// at returns the directory that shows the node, and the node's path there.
func (l *Local) at(n *tree.Node, s *tree.State) (*lower.Dir, string, error) {
	h, ok := s.Local()
	if !ok {
		return nil, "", fmt.Errorf("local: %s is in no local lower layer: %w", n.Path(), unix.EIO)
	}
	return l.dirs[h.Layer], h.Path, nil
}

// Attr implements Layer.
func (l *Local) Attr(n *tree.Node, s *tree.State) (tree.Attr, error) {
	dir, path, err := l.at(n, s)
	if err != nil {
		return tree.Attr{}, err
	}
	st, err := dir.Stat(path)
	if err != nil {
		return tree.Attr{}, err
	}
	a := tree.AttrFromStat(n.Ino, &st)
	switch {
	case s.Orphan:
		a.Nlink = 0
	case n.IsDir() && (len(s.Below.Halves) > 1 || !s.Object.IsZero() || s.Below.Origin != ""):
		a.Nlink = 1 // as Passthrough's merged directories
	}
	return a, nil
}

// ReadAt implements Layer.
func (l *Local) ReadAt(n *tree.Node, s *tree.State, p []byte, off int64) (int, error) {
	f, err := l.Source(n, s)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	return readFull(f, p, off)
}

// Readlink implements Layer.
func (l *Local) Readlink(n *tree.Node, s *tree.State) (string, error) {
	if n.Type != unix.S_IFLNK {
		return "", fmt.Errorf("local: readlink: %w", unix.EINVAL)
	}
	dir, path, err := l.at(n, s)
	if err != nil {
		return "", err
	}
	return dir.Readlink(path)
}

// Seek implements Layer.
func (l *Local) Seek(n *tree.Node, s *tree.State, off int64, whence int) (int64, error) {
	dir, path, err := l.at(n, s)
	if err != nil {
		return 0, err
	}
	f, err := dir.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	at, err := unix.Seek(int(f.Fd()), off, whence)
	if err != nil {
		return 0, fmt.Errorf("local: lseek: %w", err)
	}
	return at, nil
}

// Xattr implements Layer.
func (l *Local) Xattr(n *tree.Node, s *tree.State, name string, dst []byte) (int, error) {
	dir, path, err := l.at(n, s)
	if err != nil {
		return 0, err
	}
	return dir.Xattr(path, name, dst)
}

// Xattrs implements Layer.
func (l *Local) Xattrs(n *tree.Node, s *tree.State) ([]byte, error) {
	dir, path, err := l.at(n, s)
	if err != nil {
		return nil, err
	}
	names, err := dir.Xattrs(path)
	var list []byte
	for _, name := range names {
		list = append(append(list, name...), 0)
	}
	return list, err
}

// Source implements Layer.
func (l *Local) Source(n *tree.Node, s *tree.State) (Source, error) {
	dir, path, err := l.at(n, s)
	if err != nil {
		return nil, err
	}
	return dir.Open(path)
}
