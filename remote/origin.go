package remote

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

// Errors that drivers wrap. Everything else is trouble on the way, which a later try may not meet.
var (
	ErrNotFound    = errors.New("not found at the origin") // an object or changelist, and the origin can be believed
	ErrUnknownRev  = errors.New("unknown revision")
	ErrUnavailable = errors.New("origin unavailable")       // refused, reset, timed out, 5xx, 429
	ErrBadAnswer   = errors.New("origin gave a bad answer") // not what the protocol says, or larger than anything should be
	ErrMismatch    = errors.New("content does not match its id")
)

// Origin is a read-only source of one repository's objects. Its methods may be called concurrently; each honours its
// context. Close releases processes and connections; no method may be called after it.
type Origin interface {
	// Pin resolves a revision (a commit id, or a name that the driver knows: of a tag, of a branch; "" is the head) to one
	// commit. Others give ErrUnknownRev.
	Pin(ctx context.Context, rev string) (Commit, error)

	// Tree returns the payload of the tree object that ref names, such that object.Sum(object.Tree, payload) == ref.ID,
	// unless the result says Derived. What the origin says it does not have is ErrNotFound.
	Tree(ctx context.Context, ref TreeRef) (Tree, error)

	// Blob opens a blob's bytes, for the caller to close. They are not verified yet: the caller hashes what it reads. What the
	// origin says it does not have is ErrNotFound.
	Blob(ctx context.Context, id object.ID) (Blob, error)

	// String names the origin as a user would write it: "git:/srv/repo", "http://host:8000".
	String() string

	// Counts returns how many requests were made and bytes received since the origin was opened.
	Counts() Counts

	Close() error
}

// Sizer is implemented by origins that can tell a blob's size in bytes for much less than its content costs. What is no blob
// there is ErrNotFound.
type Sizer interface {
	Size(ctx context.Context, id object.ID) (int64, error)
}

// BatchSizer is implemented by origins that can tell many blobs' sizes in bytes for little more than one costs. An id that
// the origin does not have as a blob has size -1.
type BatchSizer interface {
	Sizes(ctx context.Context, ids []object.ID) ([]int64, error)
}

// Changelists is implemented by origins that know changelists.
type Changelists interface {
	// Changes returns what the changelist named link does, in no order. Paths are relative to the directory that the changelist
	// belongs to, which the origin need not know. An unknown link gives ErrNotFound.
	Changes(ctx context.Context, link string) ([]Change, error)
}

// LargeFiles is implemented by origins that serve Git LFS.
type LargeFiles interface {
	// LargeFile opens the size bytes that a Git LFS pointer names by their SHA-256. They are not verified yet: the caller
	// hashes what it reads.
	LargeFile(ctx context.Context, sum [32]byte, size int64) (Blob, error)
}

// Action is what a changelist does to a file, as Mega's API spells it.
type Action string

// The actions.
const (
	New      Action = "new"
	Modified Action = "modified"
	Deleted  Action = "deleted"
	Renamed  Action = "renamed" // OldPath is there no longer; the content may have changed as well
)

// Change is what a changelist does to one file.
type Change struct {
	Action  Action
	Path    string    // slash separated, without a leading slash
	OldPath string    // of Renamed
	ID      object.ID // the new blob; of Deleted, the old one
}

// Commit is what a mount is pinned to.
type Commit struct {
	ID   object.ID
	Tree object.ID // the root tree
	Time time.Time // the committer's time; a mount's files have it as their mtime, if no switch brought them
	Root []byte    // the root tree's payload where Pin had to fetch it anyway, else nil
}

// TreeRef names a directory at a commit. ID alone would do for git; Mega's API is asked by path.
type TreeRef struct {
	Commit object.ID
	Path   string // slash separated from the repository's root, no leading slash; "" is the root
	ID     object.ID
}

// Tree is a directory's listing.
type Tree struct {
	Payload []byte
	// Derived says that the payload does not hash to the id that was asked for, because the origin could only give names
	// and ids, not modes: permission bits are a guess from content. Never cached.
	Derived bool
}

// Blob is an open blob. Size is in bytes, -1 where the origin did not say.
type Blob struct {
	io.ReadCloser
	Size int64
}

// Counts is an origin's traffic since it was opened.
type Counts struct {
	Requests uint64 // tries included
	Hedged   uint64 // those among them that asked once more for what was late
	Bytes    uint64 // of what was received, without what the protocol adds
}
