package actors

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// FS is a mount's file system as a bridge to the kernel calls it: one method an operation, without anything of the FUSE
// protocol. Methods may be called concurrently, and wait for what they need. Nodes are named by their numbers; a number that
// the kernel was not given, or has forgotten, gives ErrStale.
//
// Each method that returns an Attr for the kernel to keep has counted one lookup of that node (see Forget).
type FS struct{ core *core }

// maxReloads is how often a request tries again when what it waited for is gone again: a table that a panic made be
// forgotten, an object that was evicted.
const maxReloads = 4

// node returns the node that the kernel knows by this number.
func (f *FS) node(who Caller, ino uint64) (*tree.Node, error) {
	if n := f.core.index.Find(ino); n != nil {
		return n, nil
	}
	return f.wake(who, ino)
}

// ask sends a message to the node's owner and waits for the answer.
func (f *FS) ask(who Caller, owner *tree.Owner, m request) error {
	c := m.call()
	c.request, c.resent = who.Request, who.Resent
	c.open()
	owner.Tell(m)
	err := c.wait(who)
	if errors.Is(err, ErrInterrupted) {
		owner.Tell(&gone{Msg: m})
	}
	return err
}

// table returns the directory's listing, loading it if it is not there.
func (f *FS) table(who Caller, dir *tree.Node) (*tree.Table, error) {
	if !dir.IsDir() {
		return nil, errno("lookup", unix.ENOTDIR)
	}
	for range maxReloads {
		if t := dir.Table(); t != nil {
			f.core.touch(dir, dir.State(), tree.Read)
			return t, nil
		}
		if err := f.ask(who, dir.Owner, &loadTable{Dir: dir}); err != nil {
			return nil, err
		}
	}
	return nil, ErrPanic
}

// attr returns the node's attributes, learning a lower file's size if nobody knows it.
func (f *FS) attr(who Caller, n *tree.Node) (tree.Attr, error) {
	for range maxReloads {
		s := n.State()
		if s.Size == tree.UnknownSize && !f.core.source.sizer() {
			f.core.touch(n, s, tree.Sized)
		}
		a, err := f.core.layerOf(s).Attr(n, s)
		if !errors.Is(err, layer.ErrNotLoaded) {
			return a, err
		}
		m := &resolveSize{Node: n}
		if err := f.ask(who, n.Owner, m); err != nil {
			return tree.Attr{}, err
		}
		if n.State() == s { // unless it was promoted meanwhile
			a.Size, a.Blocks = m.size, (m.size+511)/512
			return a, nil
		}
	}
	return tree.Attr{}, ErrOrigin
}

// Lookup finds a name. ENOENT is authoritative: it comes from a directory that is wholly known.
func (f *FS) Lookup(who Caller, parent uint64, name string) (tree.Attr, error) {
	dir, err := f.node(who, parent)
	if err != nil {
		return tree.Attr{}, err
	}
	t, err := f.table(who, dir)
	if err != nil {
		return tree.Attr{}, err
	}
	e, ok := t.Lookup(name)
	if !ok && len(name) > nameMax {
		return tree.Attr{}, unix.ENAMETOOLONG // not absent: FUSE lets longer names through
	}
	if !ok {
		return tree.Attr{}, unix.ENOENT
	}
	if f.core.misnumbered(e.Node) {
		if err := f.ask(who, dir.Owner, &renumber{Parent: dir, Name: strings.Clone(name)}); err != nil {
			return tree.Attr{}, err
		}
		if t, err = f.table(who, dir); err != nil {
			return tree.Attr{}, err
		}
		if e, ok = t.Lookup(name); !ok {
			return tree.Attr{}, unix.ENOENT
		}
	}
	if f.unlinked(e.Node) {
		if err := f.ask(who, &f.core.copyUp.Owner, &relink{Node: e.Node}); err != nil {
			return tree.Attr{}, err
		}
	}
	if f.unseated(e.Node) {
		if err := f.ask(who, dir.Owner, &reseat{Parent: dir, Name: strings.Clone(name)}); err != nil {
			return tree.Attr{}, err
		}
	}
	return f.remember(who, e.Node)
}

// unseated tells whether a node that has a name is reached by a link in the work directory, which went when the kernel let
// go of the node: a file with several links lost the one that we opened it by.
func (f *FS) unseated(n *tree.Node) bool {
	return n.State().Orphan && !f.core.index.Knows(n.Ino)
}

// misnumbered tells whether the kernel knows a node's number as another file, which was shown by the name before and has been
// renamed: the name was hidden from the commits that had it, until one came along that does not have it.
func (c *core) misnumbered(n *tree.Node) bool {
	known := c.index.Find(n.Ino)
	return known != nil && known != n && (known.Type != n.Type || !sameFile(known, n.State(), *n.Place(), n.Links()))
}

// unlinked tells whether a node is one name of several that a file has in a local lower layer, and is new to the kernel: the
// file may have been copied up, or got and lost names, by the node of another name.
func (f *FS) unlinked(n *tree.Node) bool { return n.Links() > 0 && !f.core.index.Knows(n.Ino) }

// remember counts a lookup of the node and returns its attributes; if they cannot be had, the count is taken back.
func (f *FS) remember(who Caller, n *tree.Node) (tree.Attr, error) {
	n = f.core.index.Remember(n, who.Request)
	a, err := f.attr(who, n)
	if err != nil {
		f.letGo(f.core.index.Unremember(n.Ino, who.Request))
	}
	return a, err
}

// Forget takes back count lookups of a number. When none is left the kernel has let go of the inode: its descriptor is
// closed, and what was kept of a removed file is removed.
func (f *FS) Forget(ino, count uint64) {
	f.letGo(f.core.index.Forget(ino, count))
}

// letGo cleans up after what the kernel may not know any more.
func (f *FS) letGo(g tree.Gone, gone bool) {
	switch {
	case !gone:
	case g.Dormant != nil: // it may have lost its name in the process before
		f.core.upperActor.Tell(&reap{Ino: g.Ino, Type: g.Dormant.Type})
	default:
		f.core.upper.Drop(g.Node)
		if s := g.Node.State(); s.Orphan && s.Where == tree.Upper {
			f.core.upperActor.Tell(&reap{Ino: g.Ino, Type: g.Node.Type})
		}
	}
}

// Getattr is stat.
func (f *FS) Getattr(who Caller, ino uint64) (tree.Attr, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return tree.Attr{}, err
	}
	return f.attr(who, n)
}

// Cursor is a position in a directory stream: behind the entry with this cookie, in a stream that began when the directory
// had this version. The zero Cursor is the start.
type Cursor struct {
	Cookie  uint64 // up to tree.DotDotCookie, the end
	Version uint16
}

// DirEntry is one entry of a directory stream.
type DirEntry struct {
	Ino  uint64
	Type uint32 // S_IFMT bits
	Name string
	Next Cursor // the stream goes on from it
}

// Readdir yields the entries behind a position; "." comes first and ".." last. A stream keeps the version that it began
// with, and goes on from any; it shows the commit that it began in.
func (f *FS) Readdir(who Caller, ino uint64, from Cursor, yield func(DirEntry) bool) error {
	dir, err := f.node(who, ino)
	if err != nil {
		return err
	}
	t, err := f.table(who, dir)
	if err != nil {
		return err
	}
	if from.Cookie == 0 {
		f.core.touch(dir, dir.State(), tree.Listed)
		from.Version = t.Version()
	} else {
		t = t.At(from.Version)
	}
	at := func(cookie uint64) Cursor { return Cursor{Cookie: cookie, Version: from.Version} }
	if from.Cookie < tree.DotCookie && !yield(DirEntry{Ino: dir.Ino, Type: unix.S_IFDIR, Name: ".", Next: at(tree.DotCookie)}) {
		return nil
	}
	for e := range t.After(max(from.Cookie, tree.DotCookie)) {
		if !yield(DirEntry{Ino: e.Node.Ino, Type: e.Node.Type, Name: e.Name, Next: at(e.Cookie)}) {
			return nil
		}
	}
	if from.Cookie < tree.DotDotCookie {
		yield(DirEntry{Ino: parentIno(dir), Type: unix.S_IFDIR, Name: "..", Next: at(tree.DotDotCookie)})
	}
	return nil
}

func parentIno(dir *tree.Node) uint64 {
	if p := dir.Place().Parent; p != nil {
		return p.Ino
	}
	return dir.Ino
}

// LookupKnown is Lookup for a directory stream: ok only if the answer needs no waiting. stored says whether to look for a size
// in the content store.
func (f *FS) LookupKnown(who Caller, parent uint64, name string, stored bool) (a tree.Attr, ok bool) {
	dir := f.core.index.Find(parent)
	if dir == nil {
		return a, false
	}
	t := dir.Table()
	if t == nil {
		return a, false
	}
	e, ok := t.Lookup(name)
	if !ok || f.unseated(e.Node) || f.unlinked(e.Node) || f.core.misnumbered(e.Node) {
		return a, false
	}
	if s := e.Node.State(); !stored && s.Where == tree.Lower && s.Size == tree.UnknownSize && s.Below == nil {
		return a, false
	}
	n := f.core.index.Remember(e.Node, who.Request)
	s := n.State()
	a, err := f.core.layerOf(s).Attr(n, s)
	if err != nil {
		f.letGo(f.core.index.Unremember(n.Ino, who.Request))
	} else if s.Size == tree.UnknownSize {
		f.core.touch(n, s, tree.Shown)
	}
	return a, err == nil
}

// Path returns a number's path in the mount and the names of its owner and layer, for logs.
func (f *FS) Path(ino uint64) (path string, owner uint32, layer string) {
	n := f.core.index.Find(ino)
	if n == nil {
		return "?", 0, ""
	}
	s := n.State()
	return "/" + n.Path(), n.Owner.ID, f.core.layerOf(s).Name()
}
