package model

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Node is an inode: a regular file, a directory, a symbolic link or a pipe.
type Node struct {
	Kind    uint32 // unix.S_IFREG...
	Mode    uint32 // permission bits
	Links   int    // names; of a directory 1, or 0 when it is removed
	Data    []byte
	Target  string // of a symbolic link
	Xattrs  map[string]string
	Entries map[string]*Node // of a directory
	Mtime   int64            // seconds; 0: whatever it is now

	// Shared says that others have names in this directory, too: it is not compared, but what is in it.
	Shared bool

	// Ino is the inode number that was seen first: it must stay. 0 before.
	Ino uint64

	at Place // of a directory
}

// Place is where a name is or could be.
type Place struct {
	Dir  *Node
	Name string
}

// NewFile returns a regular file without a name.
func NewFile(mode uint32, data []byte) *Node {
	return &Node{Kind: unix.S_IFREG, Mode: mode, Data: data}
}

// NewDir returns an empty directory without a name.
func NewDir(mode uint32) *Node {
	return &Node{Kind: unix.S_IFDIR, Mode: mode, Entries: make(map[string]*Node)}
}

// NewLink returns a symbolic link without a name.
func NewLink(target string) *Node {
	return &Node{Kind: unix.S_IFLNK, Mode: 0o777, Target: target}
}

// NewPipe returns a named pipe without a name.
func NewPipe(mode uint32) *Node { return &Node{Kind: unix.S_IFIFO, Mode: mode} }

// NewRoot returns a directory that is where others are.
func NewRoot() *Node {
	n := NewDir(0o755)
	n.Links = 1
	return n
}

// IsDir tells whether it is a directory.
func (n *Node) IsDir() bool { return n.Kind == unix.S_IFDIR }

// IsFile tells whether it is a regular file.
func (n *Node) IsFile() bool { return n.Kind == unix.S_IFREG }

// Names returns a directory's names, sorted.
func (n *Node) Names() []string { return slices.Sorted(maps.Keys(n.Entries)) }

// Count returns how many names are below a directory.
func (n *Node) Count() int {
	count := len(n.Entries)
	for _, e := range n.Entries {
		if e.IsDir() {
			count += e.Count()
		}
	}
	return count
}

// Path returns a directory's path below the root, "" for the root.
func (n *Node) Path() string {
	if n.at.Dir == nil {
		return ""
	}
	return n.at.Path()
}

// Depth returns how far a directory is below the root.
func (n *Node) Depth() int {
	if n.at.Dir == nil {
		return 0
	}
	return n.at.Dir.Depth() + 1
}

// Path returns a place's path below the root.
func (p Place) Path() string {
	return strings.TrimPrefix(p.Dir.Path()+"/"+p.Name, "/")
}

// Node returns what stands at a place, or nil.
func (p Place) Node() *Node { return p.Dir.Entries[p.Name] }

// put gives a place to a node, and takes it from the one that had it.
func (p Place) put(n *Node) {
	p.Dir.Entries[p.Name] = n
	if n.IsDir() {
		n.at = p
	}
}

// Within tells whether a directory is another one or below it.
func (n *Node) Within(above *Node) bool {
	for ; n != nil; n = n.at.Dir {
		if n == above {
			return true
		}
	}
	return false
}

// Add makes a node stand at a place where nothing is. It is for trees that are given.
func (p Place) Add(n *Node) *Node {
	n.Links = 1
	p.put(n)
	return n
}

// Walk calls see with each place below a directory, sorted, a directory before what is in it.
func (n *Node) Walk(see func(Place)) {
	for _, name := range n.Names() {
		p := Place{n, name}
		see(p)
		if e := p.Node(); e != nil && e.IsDir() {
			e.Walk(see)
		}
	}
}
