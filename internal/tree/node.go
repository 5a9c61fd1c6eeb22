package tree

import (
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// Owner is the actor that a node's messages go to. Immutable.
type Owner struct {
	ID   uint32        // for logs: "region/7"
	Tell func(msg any) // sends without waiting
}

// Place is where a node stands: its name in a directory. Immutable.
type Place struct {
	Parent *Node // nil for the root
	Name   string
}

// Where names the layer that holds a node's bytes and attributes.
type Where uint8

// The layers, from the bottom.
const (
	Lower Where = iota // the origin: Dicfuse
	Upper              // the writable directory
)

// UnknownSize marks a lower file whose size the origin has not told yet. It is not 0: resolve it before answering a stat.
const UnknownSize int64 = -1

// State says where a node's bytes and attributes are. Immutable: a change publishes a new one. For Upper the attributes
// are the upper file's own and are read from it; only the fields below "both" hold for it.
type State struct {
	// both
	Where  Where
	Orphan bool      // no name leads to it any more; upper's file, if any, stands in the work directory
	Object object.ID // the origin's blob or, for a directory, its tree; zero where the origin has nothing to show here
	// Lower
	Mode uint32 // type and permission bits
	Size int64  // bytes, or UnknownSize
	// Upper
	UpperIno uint64 // number in the upper file system: proves that a name still leads to this file
	// Redirect is, for a directory that was renamed, the path of its lower half in the mount as the origin has it. "" says that
	// the lower half, if there is one, has the directory's own name in the parent's lower half.
	Redirect string
}

// Node is one inode of a mount. See the package comment for who writes what.
type Node struct {
	Ino   uint64 // immutable
	Owner *Owner // immutable
	Type  uint32 // immutable: the S_IFMT bits

	place   atomic.Pointer[Place]
	state   atomic.Pointer[State]
	table   atomic.Pointer[Table]      // directories: nil until loaded
	file    atomic.Pointer[upper.File] // an open descriptor of the upper file, or nil
	lookups atomic.Int64
}

// NewNode makes a node that nobody else knows yet.
func NewNode(ino uint64, owner *Owner, typ uint32, at Place, st State) *Node {
	n := &Node{Ino: ino, Owner: owner, Type: typ & unix.S_IFMT}
	n.place.Store(&at)
	n.state.Store(&st)
	return n
}

// IsDir tells whether the node is a directory.
func (n *Node) IsDir() bool { return n.Type == unix.S_IFDIR }

// State returns the published state; never nil.
func (n *Node) State() *State { return n.state.Load() }

// SetState publishes a state. For the state's writer only.
func (n *Node) SetState(s State) { n.state.Store(&s) }

// Place returns where the node stands; for an orphan, where it stood last.
func (n *Node) Place() *Place { return n.place.Load() }

// SetPlace publishes a place. For the place's writer only.
func (n *Node) SetPlace(p Place) { n.place.Store(&p) }

// Table returns a directory's listing, nil while it is not loaded.
func (n *Node) Table() *Table { return n.table.Load() }

// SetTable publishes a listing; nil forgets it, so that the next use loads it again. For the directory's owner only.
func (n *Node) SetTable(t *Table) { n.table.Store(t) }

// File returns the cached descriptor, or nil. Acquire it before use.
func (n *Node) File() *upper.File { return n.file.Load() }

// SwapFile replaces the cached descriptor if it still is old.
func (n *Node) SwapFile(old, f *upper.File) bool { return n.file.CompareAndSwap(old, f) }

// TakeFile removes and returns the cached descriptor, or nil.
func (n *Node) TakeFile() *upper.File { return n.file.Swap(nil) }

// LowerPath returns where the lower half of a directory is in the mount as the origin has it. It differs from Path below a
// directory that was renamed. A rename publishes the redirect before the new place, so that the answer is the same at any
// moment.
func (n *Node) LowerPath() string {
	var names []string
	for at := n; ; {
		if r := at.State().Redirect; r != "" {
			names = append(names, r)
			break
		}
		p := at.Place()
		if p.Parent == nil {
			break
		}
		names = append(names, p.Name)
		at = p.Parent
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// Path returns the node's path in the mount, "" for the root, without a leading slash.
func (n *Node) Path() string {
	var names []string
	for p := n.Place(); p.Parent != nil; p = p.Parent.Place() {
		names = append(names, p.Name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}
