package layer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// ErrLost reports a node whose upper file is not where it was put: somebody changed the upper directory under the mount.
var ErrLost = errors.New("file vanished from the upper directory")

// openFiles bounds the descriptors that the layer keeps open for its nodes: a kernel file and its inode cost about 1 KiB.
const openFiles = 32768

// Passthrough is the upper layer: nodes whose bytes and attributes are in the upper directory.
type Passthrough struct {
	Store  *upper.Store
	Moves  Moves
	cached chan *tree.Node // nodes with a cached descriptor, oldest first; the one that is pushed out loses its descriptor
}

var _ Layer = (*Passthrough)(nil)

// NewPassthrough returns the layer over an open store.
func NewPassthrough(s *upper.Store) *Passthrough {
	limit := openFiles
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err == nil {
		limit = min(limit, int(min(r.Cur, 1<<30)/2))
	}
	return &Passthrough{Store: s, cached: make(chan *tree.Node, limit)}
}

// Moves counts changes that take files from one place to another. Whoever opens a file by its path cannot tell a file that
// is being moved from one that is lost; the counters can: see Passthrough.open.
type Moves struct{ begun, done atomic.Uint64 }

// Begin is called before the first system call of a move; the result is called after its outcome is published.
func (m *Moves) Begin() (end func()) {
	m.begun.Add(1)
	return func() { m.done.Add(1) }
}

// quiet returns how many moves have begun, and whether all of them are done.
func (m *Moves) quiet() (begun uint64, ok bool) {
	done := m.done.Load()
	begun = m.begun.Load()
	return begun, begun == done
}

// Close closes all cached descriptors. No method may run or be called after it.
func (p *Passthrough) Close() {
	for {
		select {
		case n := <-p.cached:
			p.Drop(n)
		default:
			return
		}
	}
}

// Name implements Layer.
func (p *Passthrough) Name() string { return "upper" }

// Open returns the node's file, acquired; Release it after use. The node's state must be Upper.
func (p *Passthrough) Open(n *tree.Node) (*upper.File, error) {
	if f := n.File(); f != nil && f.Acquire() {
		return f, nil
	}
	if n.Ino == tree.RootIno {
		f := p.Store.Root()
		f.Acquire()
		return f, nil
	}
	f, err := p.open(n)
	if err != nil {
		return nil, err
	}
	p.Cache(n, f)
	return f, nil
}

// open finds the file by its path. A rename, of the node or of any directory above it, may run meanwhile: a name that
// leads nowhere or to a file with another number is believed only if no move ran during the attempt.
func (p *Passthrough) open(n *tree.Node) (*upper.File, error) {
	for {
		before, quiet := p.Moves.quiet()
		f, err := p.openOnce(n)
		if err == nil {
			return f, nil
		}
		if after, still := p.Moves.quiet(); quiet && still && before == after {
			if f, oerr := p.Store.OpenOrphan(n.Ino, n.Type); oerr == nil { // a removal that was cut short before it was published
				return f, nil
			}
			if errors.Is(err, unix.ENOENT) { // it has a name, so "no such file" would be a lie that the kernel keeps
				err = fmt.Errorf("%w: %s", ErrLost, n.Path())
			}
			return nil, err
		}
		runtime.Gosched()
	}
}

func (p *Passthrough) openOnce(n *tree.Node) (*upper.File, error) {
	s, at := n.State(), n.Place()
	switch {
	case s.Orphan:
		return p.Store.OpenOrphan(n.Ino, n.Type)
	case s.Indexed:
		return p.Store.OpenIndexed(n.Ino, n.Type)
	}
	dir, err := p.Open(at.Parent)
	if err != nil {
		return nil, err
	}
	defer dir.Release()
	f, err := p.Store.OpenChild(dir, at.Name, n.Type)
	if err != nil {
		return nil, err
	}
	if f.Ino() != s.UpperIno {
		f.Release()
		return nil, fmt.Errorf("%w: %s", ErrLost, n.Path())
	}
	return f, nil
}

// Cache keeps f, of which the caller keeps its own reference, for the node's next use.
func (p *Passthrough) Cache(n *tree.Node, f *upper.File) {
	if !f.Acquire() {
		return
	}
	if !n.SwapFile(nil, f) {
		f.Release() // another goroutine was faster
		return
	}
	for {
		select {
		case p.cached <- n:
			return
		default:
		}
		select {
		case oldest := <-p.cached:
			p.Drop(oldest)
		default:
		}
	}
}

// Drop closes the node's cached descriptor.
func (p *Passthrough) Drop(n *tree.Node) {
	if f := n.TakeFile(); f != nil {
		f.Release()
	}
}

// Attr implements Layer. Without a cached descriptor it asks by name, which is cheaper than opening, and opens only if the
// answer is not this node's.
func (p *Passthrough) Attr(n *tree.Node, s *tree.State) (tree.Attr, error) {
	st, err := p.stat(n, s)
	if err == nil && st.Nlink > 1 && !s.Orphan && !n.IsDir() {
		st, err = p.statUnkept(n, s)
	}
	if err != nil {
		return tree.Attr{}, err
	}
	a := tree.AttrFromStat(n.Ino, &st)
	if s.Orphan && a.Nlink > 0 {
		a.Nlink-- // the link in the work directory
	}
	switch {
	case s.Orphan && n.IsDir():
		a.Nlink = 0
	case s.Indexed:
		a.Nlink = n.Links()
	case n.IsDir() && (s.HasLower() || n.Ino == tree.RootIno):
		a.Nlink = 1 // the count of subdirectories is not known without listing both layers; 1 says so, as in overlayfs
	}
	return a, nil
}

// statUnkept is stat of a file with several links, without the one that the work directory may still have: a file that lost
// one name and was let go by the kernel is found by another one, as a new node, before the link is removed. The kernel would
// keep the wrong count for ever.
func (p *Passthrough) statUnkept(n *tree.Node, s *tree.State) (unix.Stat_t, error) {
	for kept := p.Store.Kept(n.Ino); ; {
		st, err := p.stat(n, s)
		again := p.Store.Kept(n.Ino)
		if again != kept && err == nil { // it went, or came, in between
			kept = again
			continue
		}
		if kept && st.Nlink > 0 {
			st.Nlink--
		}
		return st, err
	}
}

func (p *Passthrough) stat(n *tree.Node, s *tree.State) (unix.Stat_t, error) {
	if f := n.File(); f != nil && f.Acquire() {
		defer f.Release()
		return f.Stat()
	}
	if at := n.Place(); at.Parent != nil && !s.Orphan && !s.Indexed {
		if dir, err := p.Open(at.Parent); err == nil {
			st, err := p.Store.StatChild(dir, at.Name)
			dir.Release()
			if err == nil && st.Ino == s.UpperIno {
				return st, nil
			}
		}
	}
	f, err := p.Open(n)
	if err != nil {
		return unix.Stat_t{}, err
	}
	defer f.Release()
	return f.Stat()
}

// ReadAt implements Layer.
func (p *Passthrough) ReadAt(n *tree.Node, _ *tree.State, b []byte, off int64) (int, error) {
	f, err := p.Open(n)
	if err != nil {
		return 0, err
	}
	defer f.Release()
	return f.ReadAt(b, off)
}

// Readlink implements Layer.
func (p *Passthrough) Readlink(n *tree.Node, _ *tree.State) (string, error) {
	f, err := p.Open(n)
	if err != nil {
		return "", err
	}
	defer f.Release()
	return f.Readlink()
}

// Seek implements Layer.
func (p *Passthrough) Seek(n *tree.Node, _ *tree.State, off int64, whence int) (int64, error) {
	f, err := p.Open(n)
	if err != nil {
		return 0, err
	}
	defer f.Release()
	return f.Seek(off, whence)
}

// Xattr implements Layer.
func (p *Passthrough) Xattr(n *tree.Node, _ *tree.State, name string, dst []byte) (int, error) {
	f, err := p.Open(n)
	if err != nil {
		return 0, err
	}
	defer f.Release()
	return p.Store.Xattr(f, name, dst)
}

// Xattrs implements Layer.
func (p *Passthrough) Xattrs(n *tree.Node, _ *tree.State) ([]byte, error) {
	f, err := p.Open(n)
	if err != nil {
		return nil, err
	}
	defer f.Release()
	return p.Store.Xattrs(f)
}

// Source implements Layer. Nothing is ever copied up from upper.
func (p *Passthrough) Source(*tree.Node, *tree.State) (Source, error) {
	return nil, fmt.Errorf("upper: source: %w", os.ErrInvalid)
}
