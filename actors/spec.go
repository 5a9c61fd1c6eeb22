package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Errors of mounting. Each is wrapped in a text that names the input and the remedy.
var (
	ErrBadSpec   = errors.New("mount cannot be made as asked")
	ErrNoPath    = errors.New("no such directory at the origin")
	ErrMount     = errors.New("mount failed")
	ErrBusy      = errors.New("mount is busy")
	ErrUnmounted = errors.New("not mounted")
)

// MountSpec says what to mount where.
type MountSpec struct {
	Origin     remote.Origin // the caller closes it, after the unmount; nil for none
	Lowers     []string      // local directories above the origin, topmost first
	Rev        string        // commit, tag or branch, as far as the origin knows such names; "" is its head
	Path       string        // the directory of the repository to mount, "" for all of it
	Changelist Changelist    // shown on top of the commit; the zero Changelist for none
	Follow     time.Duration // how often the origin is asked whether Rev has moved, which the mount then follows; 0 is never
	Mountpoint string        // an empty directory, unless Over
	Upper      string        // the writable directory, made if missing
	Work       string        // work directory; "" is Upper + ".work"
	Fetches    int           // how many fetches of this mount may be under way at once; 0: as many as the engine's
	// Profile names what the mount is for, such as a build's target: what the job reads is recorded under that name, and fetched
	// in that order at the next mount with it.
	Profile  string
	Prefetch int64  // bytes that may be fetched ahead of their use; 0: DefaultPrefetch; negative: nothing is fetched ahead
	LFS      bool   // files of Git LFS show instead of their pointers; the origin must be remote.LargeFiles
	Volatile bool   // promotions do not wait for the disk; an upper that was not unmounted cleanly is refused then
	Fixed    bool   // directories of lower layers cannot be renamed (EXDEV), as in overlayfs without redirects
	UID, GID uint32 // whom the repository's files belong to
	Over     bool   // the mountpoint may hold files, or another mount, which the mount hides
	Kernel   KernelOptions
	// CopyUpOnOpen copies a file up when it is opened for writing, as overlayfs does, and not when it is first changed. Each
	// open then costs a request.
	CopyUpOnOpen bool
	UIDs, GIDs   []IDRange      // what the layers' owners show as; nil: themselves
	Moved        func(Switched) // called after each switch; nil: nobody wants to know
	FsName       string         // the source shown in the mount table; "" is the origin and commit
	Session      *Session       // what outlives this process; nil: nothing does, and the mount ends with it
}

// SessionVersion names what a session's journal holds and means. A process takes over sessions of its own version only.
const SessionVersion = "4"

// Session is what a mount needs to outlive the process that serves it. Somebody else must hold the two descriptors as well:
// package keeper.
type Session struct {
	Journal *os.File // the node journal: empty for a new mount
	Fuse    *os.File // the kernel's end of a live mount that is taken over; nil for a new one
	// Keep is given the kernel's end of a new mount, for the next process. The descriptor is valid until Keep returns.
	Keep func(fuse *os.File) error
}

func (s *MountSpec) check() error {
	switch {
	case s.Origin == nil && len(s.Lowers) == 0:
		return fmt.Errorf("%w: no origin and no lower directory", ErrBadSpec)
	case s.Origin == nil && (s.Rev != "" || s.Path != "" || s.Changelist.Link != "" || s.Follow != 0):
		return fmt.Errorf("%w: a revision, path, changelist or following without an origin", ErrBadSpec)
	case s.Follow < 0:
		return fmt.Errorf("%w: following each %v", ErrBadSpec, s.Follow)
	case s.Follow > 0 && isCommit(s.Rev):
		return fmt.Errorf("%w: commit %s never moves: follow a branch or the head", ErrBadSpec, s.Rev)
	case s.Mountpoint == "":
		return fmt.Errorf("%w: no mountpoint", ErrBadSpec)
	case len(profileFile(s.Profile)) > profileNameMax:
		return fmt.Errorf("%w: profile name of %d bytes", ErrBadSpec, len(s.Profile))
	case s.Fetches < 0:
		return fmt.Errorf("%w: %d fetches at once", ErrBadSpec, s.Fetches)
	case s.Origin != nil && !reflect.TypeOf(s.Origin).Comparable(): // fetches are told apart by it
		return fmt.Errorf("%w: an origin that cannot be compared: give a pointer", ErrBadSpec)
	case s.Upper == "":
		return fmt.Errorf("%w: no upper directory", ErrBadSpec)
	}
	for _, name := range strings.Split(s.Path, "/") {
		if s.Path != "" && object.CheckName(name) != nil {
			return fmt.Errorf("%w: path %q: give a directory of the repository as a/b/c", ErrBadSpec, s.Path)
		}
	}
	if s.Work == "" {
		s.Work = strings.TrimRight(s.Upper, "/") + ".work"
	}
	return nil
}

// origin names what the mount shows first of all, for people.
func (s *MountSpec) origin() string {
	if s.Origin != nil {
		return s.Origin.String()
	}
	return "dir:" + strings.Join(s.Lowers, ":")
}

// pinned is what a mount shows: a commit and a directory in it.
type pinned struct {
	commit remote.Commit
	path   string
	tree   object.ID // of the directory

	changelist *applied // nil: none

	switched bool // the mount showed another commit before
	moving   bool // and what the kernel knows may be of that one still
}

// isCommit tells whether a revision is a commit's id, and not a name.
func isCommit(rev string) bool {
	_, err := object.Parse(rev)
	return err == nil
}

// resolve finds out what to shows. It fetches the commit, what the changelist brings, and the trees on the way to the path, the
// last one included, so that a mount that succeeds can be listed. Path, and what to does not name, are as in from.
func (s *source) resolve(ctx context.Context, to target, from pinned) (pinned, error) {
	if s.origin == nil {
		return pinned{tree: object.EmptyTree}, nil
	}
	p := pinned{commit: from.commit, path: from.path}
	if !to.keep {
		var err error
		if p.commit, err = s.origin.Pin(ctx, to.rev); err != nil {
			return pinned{}, err
		}
		if p.commit.Root != nil {
			if err := s.content.PutBytes(object.Tree, p.commit.Tree, p.commit.Root); err != nil {
				return pinned{}, fmt.Errorf("%w: root tree: %w", ErrOrigin, err)
			}
		}
	}
	cl, known := to.changelist, (*applied)(nil)
	if cl == nil && from.changelist != nil { // it stays as it is, whatever the origin has by now
		known = from.changelist
		cl = &known.Changelist
	}
	p.tree = p.commit.Tree
	if cl != nil && cl.Link != "" {
		var err error
		if p.changelist, err = s.apply(ctx, p.commit, *cl, known); err != nil {
			return pinned{}, err
		}
		if err := s.bring(ctx, p.changelist); err != nil {
			return pinned{}, err
		}
		p.tree = p.changelist.result.Root
	}
	return p, s.descend(ctx, &p)
}

// descend goes from the root tree down to the path.
func (s *source) descend(ctx context.Context, p *pinned) error {
	names := strings.Split(p.path, "/")
	if p.path == "" {
		names = nil
	}
	for i := 0; ; i++ {
		at := strings.Join(names[:i], "/")
		payload, err := s.tree(ctx, remote.TreeRef{Commit: p.commit.ID, Path: at, ID: p.tree})
		if err != nil {
			return fmt.Errorf("%s: %w", s.origin, err)
		}
		entries, err := object.ParseTree(payload)
		if err != nil {
			return fmt.Errorf("%w: directory %q: %w", ErrOrigin, at, err)
		}
		if i == len(names) {
			return nil
		}
		if p.tree, err = subtree(entries, names[i]); err != nil {
			return fmt.Errorf("%w: %s at %s: give a directory that the commit has", err, strings.Join(names[:i+1], "/"), p.commit.ID)
		}
	}
}

func subtree(entries []object.Entry, name string) (object.ID, error) {
	for _, e := range entries {
		switch {
		case e.Name != name:
		case e.Mode == object.ModeTree:
			return e.ID, nil
		default:
			return object.ID{}, fmt.Errorf("%w (it is a file, or a submodule)", ErrNoPath)
		}
	}
	return object.ID{}, ErrNoPath
}

// State is where a mount is in its life.
type State uint32

// A mount's states. Failed and Unmounted are the ends.
const (
	Provisioning State = iota
	Mounted
	Ready
	Quiescing
	Unmounting
	Unmounted
	Failed
)

// String returns the name as the control plane spells it.
func (s State) String() string {
	names := [...]string{"Provisioning", "Mounted", "Ready", "Quiescing", "Unmounting", "Unmounted", "Failed"}
	return names[s]
}

// Stats is a mount in numbers, at one moment.
type Stats struct {
	State     State
	Commit    object.ID
	Since     time.Time         // when this process began to serve it
	Inodes    int               // known to the kernel
	Regions   uint32            // that this process has started
	OpenFiles int64             // descriptors held on upper
	Requests  map[string]uint64 // by FUSE operation
	Errors    map[string]uint64 // by "OPERATION errno"
	Origin    remote.Counts     // of the origin, whichever mounts use it
	Demand    Fetches           // what was fetched for this mount because somebody waited for it
	Prefetch  Fetches           // and what was fetched ahead
	Joined    uint64            // prefetches for which somebody waited before they were here
	Hits      uint64            // prefetches of what was used afterwards
}
