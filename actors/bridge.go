package actors

import (
	"context"
	"os"
	"time"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// Notifier tells the kernel what it has not asked for. Its methods may block until a request that is under way is
// answered; the notifier actor alone calls them.
type Notifier interface {
	InvalidateEntry(parent uint64, name string) error
	InvalidateInode(ino uint64) error
}

// Bridge connects a mount's file system to the kernel. Package fusebridge has the one for FUSE.
type Bridge interface {
	// Check tells whether the mountpoint can be mounted on, before anything is fetched or made.
	Check(mountpoint string, over bool) error

	// Attach mounts fs and serves it until it is unmounted.
	Attach(ctx context.Context, fs *FS, opts AttachOptions) (Conn, error)
}

// AttachOptions are a mount's properties in the kernel.
type AttachOptions struct {
	Mountpoint string
	FsName     string // the source in the mount table
	Kernel     KernelOptions
	UIDs, GIDs []IDRange // nil: ids show as the layers have them
	// CopyUpOnOpen asks to be told of opens, and to promote what is opened for writing.
	CopyUpOnOpen bool

	Journal *tree.Journal             // Flush before each answer, Answered after that of a change; nil: there is none
	Keep    func(fuse *os.File) error // see Session; nil: nobody wants it
	Taken   *Taken                    // nil: make the mount
}

// Taken is a mount whose process has died.
type Taken struct {
	Fuse *os.File // the kernel's end
	Init []byte   // the request that began it, from the journal (NoteInit)
	Idle bool     // it had answered all that it read
}

// NoteInit is the kind of the journal's note that a bridge leaves, and gets back in Taken.
const NoteInit byte = 1

// IDRange says that Count ids of the layers, from Layer on, show as those from Shown on.
type IDRange struct{ Layer, Shown, Count uint32 }

// OverflowID shows for an id of a layer that no range has: "nobody", as the kernel shows what a user name space does not have
// (/proc/sys/kernel/overflowuid).
const OverflowID = 65534

// ShownID returns what a layer's id shows as; without ranges, itself.
func ShownID(ranges []IDRange, id uint32) uint32 {
	if ranges == nil {
		return id
	}
	for _, r := range ranges {
		if id >= r.Layer && id-r.Layer < r.Count {
			return r.Shown + (id - r.Layer)
		}
	}
	return OverflowID
}

// KernelOptions are what mount(8) calls file-system-independent options. The zero value is nosuid,nodev.
type KernelOptions struct {
	ReadOnly bool
	NoExec   bool
	Suid     bool // set-uid programs act; root only
	Dev      bool // device nodes act; root only

	// Whether reading moves access times; root only. Without either of them, and ReadOnly, that is up to the mount that upper
	// is in.
	NoAccessTimes     bool
	StrictAccessTimes bool // each open costs a request, and forgets the page cache
}

// Conn is a mount in the kernel.
type Conn interface {
	Notifier

	// Unmount takes the mount away; ErrBusy if it is in use.
	Unmount() error

	// Release leaves the mount to another process: what was read is answered, and nothing more is read. Done is closed then.
	Release()

	// Done is closed when the mount is gone, however it went, and no request is being served.
	Done() <-chan struct{}

	// Resends tells whether the kernel can send requests again that were read and not answered.
	Resends() bool

	// Oldest returns the operation that has been under way for the longest time, and since when; "" if there is none.
	Oldest() (op string, since time.Time)

	// Counts returns how many requests came, by operation, and how many were refused, by "operation errno".
	Counts() (requests, errors map[string]uint64)
}
