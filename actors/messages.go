package actors

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
	"github.com/antares-actor/antares-actor/remote"
)

// Messages are immutable once sent, but for the Call in them. Commands are imperative, facts in the past tense.

// Commands to a region.
type (
	// loadTable makes Dir's table known.
	loadTable struct {
		Call
		Dir *tree.Node
	}
	// resolveSize makes a lower file's size known.
	resolveSize struct {
		Call
		Node *tree.Node
		size int64 // the answer
	}
	// promoteNode brings a node into upper; of a regular file's content at most Keep bytes.
	promoteNode struct {
		Call
		Node *tree.Node
		Keep int64
	}
	// create makes a file of any type.
	create struct {
		Call
		Parent *tree.Node
		Name   string
		Birth  upper.Birth
	}
	// createTemp makes a regular file without a name, for O_TMPFILE.
	createTemp struct {
		Call
		Parent *tree.Node
		Birth  upper.Birth
	}
	// link gives Node a further name.
	link struct {
		Call
		Node   *tree.Node
		Parent *tree.Node
		Name   string
	}
	// remove is unlink, or rmdir if Dir.
	remove struct {
		Call
		Parent *tree.Node
		Name   string
		Dir    bool
	}
	// rename is renameat2.
	rename struct {
		Call
		OldParent, NewParent *tree.Node
		OldName, NewName     string
		Flags                uint32
	}
	// setAttr changes what its Valid says.
	setAttr struct {
		Call
		Node   *tree.Node
		Who    Caller
		Change AttrChange
	}
	// reseat has the node of an entry be reached by that entry: the name by which it was reached is gone, and the kernel has
	// let go of the link that was kept for it in the work directory.
	reseat struct {
		Call
		Parent *tree.Node
		Name   string
	}
	// renumber gives the node of an entry another number: the kernel knows its number as another file.
	renumber struct {
		Call
		Parent *tree.Node
		Name   string
	}
	// setXattr sets an extended attribute, or removes it if Value is nil.
	setXattr struct {
		Call
		Node  *tree.Node
		Name  string
		Value []byte
		Flags int

		DropSetGID bool
	}
	// restore puts an orphan back under a name that it did not lose: the second half of a reattach.
	restore reattach
	// relay asks a region to load Dir and then to send Msg on to To, another region that needs Dir's table.
	relay struct {
		Dir *tree.Node
		To  *tree.Owner
		Msg request
	}
	// gone says that the caller of a request has gone before it began.
	gone struct{ Msg request }
	// adopt tells the region of a rename's new parent that the rename is done on disk: it shows Entry, and answers.
	adopt struct {
		Rename *rename
		Entry  tree.Entry
		Before *tree.Table // of the new parent, which Entry was made for
	}
)

func (m *relay) call() *Call { return m.Msg.call() }
func (m *adopt) call() *Call { return m.Rename.call() }

// AttrChange is a SETATTR: what is nil stays.
type AttrChange struct {
	Mode         *uint32
	UID, GID     *uint32
	Size         *int64
	Atime, Mtime *unix.Timespec // Nsec may be UTIME_NOW
	DropSetID    bool           // it clears set-uid and set-gid, as far as the caller may not keep them
}

// Facts to a region.
type (
	// treeFetched answers readTree.
	treeFetched struct {
		Dir     *tree.Node
		Payload []byte
		For     *retree // of readTree
		Err     error
	}
	// listed is a directory's merged listing, read by a worker.
	listed struct {
		Dir   *tree.Node
		Items []layer.Item
		Err   error
	}
	// sized answers readSizes, in the same order; -1 is a size that the origin did not tell.
	sized struct {
		Nodes []*tree.Node
		Sizes []int64
		Err   error
	}
)

// Commands to the dicfuse layer.
type (
	// readTree asks for a directory's tree object; treeFetched goes to To. A zero ID says that only the path is known.
	readTree struct {
		Dir  *tree.Node
		ID   object.ID
		Pin  *tree.Pin // the commit that has it
		Path string    // in the mount as the origin has it
		To   *tree.Owner
		For  *retree // nil: the directory's table is to be loaded
	}
	// readSizes asks for the sizes of lower files; sized goes to To. More than one is asked only of an origin that can tell many
	// at once.
	readSizes struct {
		Nodes []*tree.Node
		IDs   []object.ID
		To    *tree.Owner
	}
	// readAhead asks for a directory's tree object before somebody needs it. Path is the directory's at the origin.
	readAhead struct {
		ID   object.ID
		Pin  *tree.Pin
		Path string
		Done func(outcome)
	}
	// stopReading takes a readTree back, stopSizing a readSizes of one: nobody waits any more.
	stopReading readTree
	stopSizing  readSizes
)

// Commands to copy-up.
type (
	// promote brings Node into upper, then sends Msg back to Back. If that fails it answers Msg itself.
	promote struct {
		Node *tree.Node
		Keep int64
		Back *tree.Owner // nil: answer Msg when done
		Msg  request
	}
	// detach marks a lower node as having lost its name, once no promotion of it is in flight, then sends Msg back.
	detach struct {
		Node *tree.Node
		Back *tree.Owner
		Msg  request
	}
	// reattach takes a detach back: the removal of the name failed with Err, which is what Msg is answered then.
	reattach struct {
		Node   *tree.Node
		Parent *tree.Node
		Name   string
		Msg    request // nil if nobody waits
		Err    error
	}
	// relink looks whether a file with several names in a local lower layer is in upper by now.
	relink struct {
		Call
		Node *tree.Node
	}
	// learnSizes records lower files' sizes in their states.
	learnSizes struct {
		Nodes []*tree.Node
		Sizes []int64
	}
)

func (m *reattach) call() *Call {
	if m.Msg == nil {
		nobody := &Call{}
		nobody.open()
		return nobody
	}
	return m.Msg.call()
}

func (m *restore) call() *Call { return (*reattach)(m).call() }

func (m *promote) call() *Call { return m.Msg.call() }
func (m *detach) call() *Call  { return m.Msg.call() }

// Facts to copy-up.
type (
	// contentFetched says that the bytes a promotion waits for are here.
	contentFetched struct {
		Node *tree.Node
		Err  error
	}
	// staged says that a worker built Node's copy, and those of directories above it.
	staged struct {
		Node   *tree.Node
		Copies []copied
		Err    error
	}
	copied struct {
		Node   *tree.Node
		Staged *upper.Staged
	}
)

// Commands to the loader.
type (
	// fetchBlob brings a blob's bytes into the content store, then finishes the Call.
	fetchBlob struct {
		Call
		Source *source
		ID     object.ID
	}
	// fetch brings something in and sends a fact: Done makes it of the outcome and sends it.
	fetch struct {
		Source *source
		Want   want
		ID     object.ID
		IDs    []object.ID    // of wantSizes, ID being the first
		Ref    remote.TreeRef // of a tree
		Base   string         // of wantPath: the path in the repository of the tree that Ref.Path starts from
		Ahead  bool           // nobody waits for it
		For    any            // what it is about, by which it can be abandoned; or nil
		Done   func(outcome)
		over   bool // it was answered; the loader's
	}
	// abandon takes Waiters back: whoever waited for them has gone.
	abandon struct{ Waiters []waiter }
	// quit ends all that a mount has asked for. It is answered when nothing of it is under way.
	quit struct {
		Call
		Source *source
	}
)

// want is what a fetch is for.
type want uint8

const (
	wantBlob  want = iota // the content; of one that is large only its size, if nobody needs more
	wantSmall             // the content of a small blob, the size of a large one
	wantTree
	wantSizes
	wantPath // a tree of which only the path below Ref.ID is known
)

// outcome is what a fetch came to.
type outcome struct {
	Payload []byte  // a tree's
	Sizes   []int64 // of the blobs asked for; of a blob's content, its own
	Unread  bool    // a large blob's content was left where it is
	Asked   bool    // the origin was asked
	Bytes   int64   // that came from there
	Err     error
}

// Facts to the loader.
type (
	// fetched is the fact that a worker ends with.
	fetched struct {
		Flight  *flight
		Outcome outcome
		Took    time.Duration
	}
	// sizeLearnt says how large a large blob is whose content is still coming, or will not come.
	sizeLearnt struct {
		Flight *flight
		Size   int64
	}
)

// reap tells the upper layer that the kernel has let go of an orphan.
type reap struct {
	Ino  uint64
	Type uint32
}

// Commands to the notifier.
type (
	invalidateEntry struct {
		Parent uint64
		Name   string
	}
	invalidateInode struct{ Ino uint64 }
	// told is called when all that the notifier was sent before has reached the kernel.
	told struct{ then func() }
)
