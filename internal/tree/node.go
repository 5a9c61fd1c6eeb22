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
	Pin    *Pin      // a commit that has Object at the node's path in the origin; nil: the first that this process showed
	// Lower
	Mode uint32 // type and permission bits
	Size int64  // bytes, or UnknownSize
	// Upper
	UpperIno uint64 // number in the upper file system: proves that a name still leads to this file
	// Indexed says that upper's file is reached by its link in the work directory: a file with several names in a local lower
	// layer, some of which upper may not have.
	Indexed bool
	// Below says where the lower halves are, if the origin alone does not; mostly nil.
	Below *Below
}

// HasLower tells whether the state of a directory has a lower half, be it empty.
func (s *State) HasLower() bool {
	return !s.Object.IsZero() || s.Below != nil && (len(s.Below.Halves) > 0 || s.Below.Origin != "")
}

// Local returns where the topmost local lower layer that shows the node has it; ok is false if the origin shows it.
func (s *State) Local() (h Half, ok bool) {
	if s.Below == nil || len(s.Below.Halves) == 0 {
		return Half{}, false
	}
	return s.Below.Halves[0], true
}

// Half is where a local lower layer has its half of a node.
type Half struct {
	Layer int    // 0 is the topmost of the local lower layers
	Path  string // in that layer, without a leading slash; "" is its root
}

// Below says where the lower halves of a node are. Immutable.
type Below struct {
	// Halves are those in local lower layers, topmost first. What is not a directory has one at most.
	Halves []Half
	// Redirect is, for a directory that was renamed, the path of its lower half among what the lower layers show together. ""
	// says that it has the directory's own name in the parent's lower half.
	Redirect string
	// Origin is the path of the origin's half in the mount as the origin has it; "" says that it has the directory's own name
	// in the parent's half, or with a Redirect or a zero Object that there is none.
	Origin string
}

// Node is one inode of a mount. See the package comment for who writes what.
type Node struct {
	Ino   uint64 // immutable
	Owner *Owner // immutable
	Type  uint32 // immutable: the S_IFMT bits
	links atomic.Uint32

	place   atomic.Pointer[Place]
	state   atomic.Pointer[State]
	table   atomic.Pointer[Table]      // directories: nil until loaded
	file    atomic.Pointer[upper.File] // an open descriptor of the upper file, or nil
	lookups atomic.Int64
	used    atomic.Uint32 // Use bits
}

// Use is how a job uses a node. A listing is more than a look.
type Use uint32

// The uses.
const (
	Read   Use = 1 << iota // of a file's content or a directory's names
	Listed                 // of a directory: all of its names
	Sized                  // of a file's size
	Shown                  // of a file's size, perhaps: it came with a listing
)

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

// Table returns a directory's listing, nil while it is not loaded, or is of a commit that the mount has left.
func (n *Node) Table() *Table {
	if t := n.table.Load(); t != nil && !t.owed {
		return t
	}
	return nil
}

// LastTable returns what the directory showed last, of whatever commit; nil if it was never loaded or is forgotten.
func (n *Node) LastTable() *Table { return n.table.Load() }

// SetTable publishes a listing; nil forgets it, so that the next use loads it again. For the directory's owner only.
func (n *Node) SetTable(t *Table) { n.table.Store(t) }

// File returns the cached descriptor, or nil. Acquire it before use.
func (n *Node) File() *upper.File { return n.file.Load() }

// SwapFile replaces the cached descriptor if it still is old.
func (n *Node) SwapFile(old, f *upper.File) bool { return n.file.CompareAndSwap(old, f) }

// TakeFile removes and returns the cached descriptor, or nil.
func (n *Node) TakeFile() *upper.File { return n.file.Swap(nil) }

// Used tells whether the node was used so before, and notes that it is now.
func (n *Node) Used(how Use) bool {
	return n.used.Load()&uint32(how) != 0 || n.used.Or(uint32(how))&uint32(how) != 0
}

// Links returns how many names a file has, upper's and lower layers' together, if it has several in a local lower layer; 0
// for all others.
func (n *Node) Links() uint32 { return n.links.Load() }

// SetLinks sets it, before the node is shared.
func (n *Node) SetLinks(count uint32) { n.links.Store(count) }

// AddLinks counts names that were made (1) or lost (-1), and returns how many there are now.
func (n *Node) AddLinks(delta int32) uint32 { return n.links.Add(uint32(delta)) }

// LowerPath returns where the lower half of a directory is among what the lower layers show together. It differs from Path
// below a directory that was renamed. A rename publishes the redirect before the new place, so that the answer is the same at
// any moment.
func (n *Node) LowerPath() string { return n.pathBelow(func(b *Below) string { return b.Redirect }) }

// OriginPath returns where the origin's half of a directory is in the mount as the origin has it. It differs from LowerPath
// where a local lower layer renamed directories of the origin.
func (n *Node) OriginPath() string { return n.pathBelow(func(b *Below) string { return b.Origin }) }

// pathBelow joins the names from the nearest directory whose Below knows a path.
func (n *Node) pathBelow(known func(*Below) string) string {
	var names []string
	for at := n; ; {
		if b := at.State().Below; b != nil && known(b) != "" {
			names = append(names, known(b))
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
func (n *Node) Path() string { return n.pathBelow(func(*Below) string { return "" }) }
