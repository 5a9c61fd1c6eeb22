package layer

import (
	"errors"
	"io"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// ErrNotLoaded reports that a layer does not have the bytes yet: load the state's Object, then try again.
var ErrNotLoaded = errors.New("object not loaded")

// Layer answers for the nodes whose state says that they are in it. Reading never changes a layer, and never waits.
// The node and the state are passed together, since the node may have moved to another layer meanwhile.
type Layer interface {
	// Name is the layer's name in logs.
	Name() string

	// Attr returns the attributes, complete: type and mode, owner, size, blocks, three times, link count.
	Attr(n *tree.Node, s *tree.State) (tree.Attr, error)

	// ReadAt fills p from off; a short count means the end of the file.
	ReadAt(n *tree.Node, s *tree.State, p []byte, off int64) (int, error)

	// Readlink returns a symbolic link's target.
	Readlink(n *tree.Node, s *tree.State) (string, error)

	// Seek answers SEEK_DATA and SEEK_HOLE.
	Seek(n *tree.Node, s *tree.State, off int64, whence int) (int64, error)

	// Xattr reads an extended attribute into dst, or with an empty dst returns its size.
	Xattr(n *tree.Node, s *tree.State, name string, dst []byte) (int, error)

	// Xattrs returns the names of the extended attributes, each ended by a zero byte.
	Xattrs(n *tree.Node, s *tree.State) ([]byte, error)

	// Source opens the content for a copy-up; the result is an *os.File where one exists, so that it can be cloned.
	Source(n *tree.Node, s *tree.State) (Source, error)
}

// Source is a file's content.
type Source interface {
	io.ReaderAt
	io.Closer
}

// readFull fills p from off; a short count means the end of the file.
func readFull(f io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
