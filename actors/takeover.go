package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
	"github.com/antares-actor/antares-actor/remote"
)

// notePin is the kind of the journal's note that says what the mount shows. NoteInit is the bridge's.
const notePin byte = 2

// noteHanded says by one byte whether the process before answered all that it had read: 1 if it did.
const noteHanded byte = 3

// noteChangelist is the kind of the note of the changelist on it, empty for none.
const noteChangelist byte = 4

// ErrNotTaken reports a mount that cannot be taken over from a process that died: its journal is damaged, or the kernel cannot
// send again what that process had read.
var ErrNotTaken = errors.New("mount cannot be taken over")

// pinNote is what the next process must not find out anew: a branch may have moved, the origin may be down, the disk full.
type pinNote struct {
	Commit, Tree string
	Time         time.Time
	Path         string
	Root         string // the tree at Path
	Switched     bool
	Moving       bool
	Upper        upper.Format
}

// notePinned leaves word of what the mount shows to the process that takes it over, with what also adds.
func notePinned(j *tree.Journal, at *pinned, format upper.Format, also func(*tree.Batch)) error {
	note, err := json.Marshal(pinNote{
		Commit: at.commit.ID.String(), Tree: at.commit.Tree.String(), Time: at.commit.Time, Path: at.path, Root: at.tree.String(),
		Switched: at.switched, Moving: at.moving, Upper: format,
	})
	if err != nil {
		return err
	}
	cl, err := at.changelist.note()
	if err != nil {
		return err
	}
	b := new(tree.Batch)
	b.Note(noteChangelist, cl)
	b.Note(notePin, note)
	also(b)
	j.Add(b)
	return j.Flush()
}

func parsePinNote(b []byte) (at pinned, format upper.Format, err error) {
	var p pinNote
	if err := json.Unmarshal(b, &p); err != nil {
		return at, format, fmt.Errorf("%w: journal: what the mount shows: %w", ErrNotTaken, err)
	}
	commit, err1 := object.Parse(p.Commit)
	root, err2 := object.Parse(p.Tree)
	shown, err3 := object.Parse(p.Root)
	if err := errors.Join(err1, err2, err3); err != nil {
		return at, format, fmt.Errorf("%w: journal: what the mount shows: %w", ErrNotTaken, err)
	}
	at = pinned{
		commit: remote.Commit{ID: commit, Tree: root, Time: p.Time}, path: p.Path, tree: shown, switched: p.Switched, moving: p.Moving,
	}
	return at, p.Upper, nil
}

// newJournal begins the journal of a new mount; nil if it is not to outlive this process.
func newJournal(s *Session, at pinned, format upper.Format) (*tree.Journal, error) {
	if s == nil {
		return nil, nil
	}
	j, err := tree.NewJournal(s.Journal)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMount, err)
	}
	if err := notePinned(j, &at, format, func(*tree.Batch) {}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMount, err)
	}
	return j, nil
}

// takeOver goes on with a mount whose process has died. If it fails, everything stays as it is for the next try.
func (m *Mount) takeOver(ctx context.Context) (_ *live, err error) {
	spec, e := m.spec, m.engine
	journal, found, err := tree.LoadJournal(spec.Session.Journal)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotTaken, err)
	}
	at, format, err := parsePinNote(found.Notes[notePin])
	if err != nil {
		return nil, err
	}
	if at.changelist, err = parseChangelistNote(found.Notes[noteChangelist]); err != nil {
		return nil, err
	}
	cfg := m.storeConfig()
	cfg.Taken = &format
	store, err := upper.Open(cfg)
	if err != nil {
		return nil, err
	}
	local, err := openLowers(spec, store.Prefix())
	if err != nil {
		store.Leave()
		return nil, err
	}
	src := m.source()
	if at.changelist != nil {
		src.made.add(at.changelist.result.Trees)
	}
	handed := bytes.Equal(found.Notes[noteHanded], []byte{1})
	journal.Note(noteHanded, []byte{0})
	c := e.newCore(store, local, src, at, spec, journal)
	c.doubts = found.Intents
	var mixed []any
	if at.moving {
		mixed = forgetAll(found.Nodes)
	}
	c.unlisted.Store(len(found.Nodes) > 0)
	c.index.Sleep(found)
	err = c.dropOrphans()
	var conn Conn
	if err == nil {
		opts := attachOptions(spec, at, journal)
		opts.Taken = &Taken{Fuse: spec.Session.Fuse, Init: found.Notes[NoteInit], Idle: handed}
		conn, err = e.cfg.Bridge.Attach(ctx, &FS{core: c}, opts)
	}
	if err != nil {
		c.stop()
		store.Leave()
		return nil, err
	}
	c.conn.Store(&conn)
	for _, m := range mixed {
		c.notifier.Tell(m)
	}
	return &live{core: c, conn: conn, since: time.Now()}, nil
}

// forgetAll are the messages that have the kernel forget what it knows by names and contents: the process before died while it
// switched the mount to another commit, and nobody knows how much of the old one the kernel still shows. What that was to take
// the name of is an orphan already (Batch.Leaving), and keeps its bytes.
func forgetAll(known map[uint64]*tree.Dormant) []any {
	var all []any
	for ino, d := range known {
		if d.Name != "" {
			all = append(all, &invalidateEntry{Parent: d.Parent, Name: d.Name})
		}
		if d.Orphan == nil {
			all = append(all, &invalidateInode{Ino: ino})
		}
	}
	return all
}

// patience is how long requests that were read may hold up a handover, if the kernel can send them to the next process as well.
const patience = 100 * time.Millisecond

// HandOver ends the mount here, without unmounting it: another process is to go on with its Session. It returns when all
// requests that were read are answered and everything is stopped and closed. With an error the next process can go on too, when
// this one is gone.
func (m *Mount) HandOver(ctx context.Context) error {
	l := m.live.Load()
	if l == nil || m.spec.Session == nil {
		return fmt.Errorf("%w: %s has no session to hand over", ErrBadSpec, m.spec.Mountpoint)
	}
	m.leaving.Store(true)
	l.conn.Release()
	if l.conn.Resends() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dropOrphans removes those that the kernel had let go of, or was never given, when the process died.
func (c *core) dropOrphans() error {
	orphans, err := c.upper.Store.Orphans()
	if err != nil {
		return err
	}
	for _, o := range orphans {
		if c.index.Knows(o.Ino) {
			continue
		}
		c.reap(&reap{Ino: o.Ino, Type: o.Type})
	}
	return nil
}

// wake brings back a node that the kernel was given by a process that has died. Reading the directory in which it stands makes
// its node, like any other; what has no name is found in the work directory, or in the journal.
func (f *FS) wake(who Caller, ino uint64) (*tree.Node, error) {
	d, n := f.core.index.Dormant(ino)
	switch {
	case n != nil:
		return n, nil
	case d == nil:
		return nil, ErrStale
	}
	for _, at := range f.core.spots(ino, d) {
		found, err := f.stands(who, ino, at, deepest)
		if err == nil {
			return f.core.index.Wake(found), nil
		}
		if !errors.Is(err, ErrStale) {
			return nil, err
		}
	}
	if n := f.core.nameless(ino, d); n != nil {
		return f.core.index.Wake(n), nil
	}
	if _, n := f.core.index.Dormant(ino); n != nil { // woken meanwhile
		return n, nil
	}
	return nil, ErrStale
}

// deepest is how many directories may be above one another that the kernel has forgotten: more than a path has.
const deepest = unix.PathMax

// stands returns the node with a number that stands at a spot; ErrStale if there is none.
func (f *FS) stands(who Caller, ino uint64, at tree.Spot, depth int) (*tree.Node, error) {
	dir, err := f.node(who, at.Parent)
	if above, ok := f.core.index.Forgotten(at.Parent); ok && errors.Is(err, ErrStale) && depth > 0 {
		dir, err = f.stands(who, at.Parent, above, depth-1)
	}
	if err != nil {
		return nil, err
	}
	if !dir.IsDir() || dir.State().Orphan {
		return nil, ErrStale
	}
	t, err := f.table(who, dir)
	if err != nil {
		return nil, err
	}
	if e, ok := t.Lookup(at.Name); ok && e.Node.Ino == ino {
		return e.Node, nil
	}
	return nil, ErrStale
}

// wakeByName wakes what is dormant under the number of a node that has a name. What the work directory may have of it was kept
// for a name that it lost.
func (c *core) wakeByName(n *tree.Node) *tree.Node {
	dormant, _ := c.index.Dormant(n.Ino)
	woken := c.index.Wake(n)
	if dormant == nil || woken != n || n.IsDir() || !c.upper.Store.Kept(n.Ino) { // another one may be open by it
		return woken
	}
	c.reap(&reap{Ino: n.Ino, Type: n.Type})
	return woken
}

// spots returns where a dormant node may stand: where it stood last, and where a request that was not answered has perhaps
// moved it.
func (c *core) spots(ino uint64, d *tree.Dormant) []tree.Spot {
	var all []tree.Spot
	if d.Name != "" {
		all = append(all, tree.Spot{Parent: d.Parent, Name: d.Name})
	}
	for _, in := range c.doubts {
		switch ino {
		case in.Ino:
			all = append(all, in.To)
		case in.Displaced:
			all = append(all, in.From)
		}
	}
	return all
}

// nameless makes the node of a file or directory that has lost its last name; nil if there is none.
func (c *core) nameless(ino uint64, d *tree.Dormant) *tree.Node {
	at := tree.Place{Parent: c.root, Name: d.Name}
	if st, err := c.upper.Store.StatOrphan(ino); err == nil {
		n := tree.NewNode(ino, c.root.Owner, d.Type, at, tree.State{Where: tree.Upper, Orphan: true, UpperIno: st.Ino})
		if n.IsDir() {
			n.SetTable(&tree.Table{})
		}
		return n
	}
	lower := d.Orphan
	for _, in := range c.doubts {
		switch {
		case lower != nil:
		case in.Ino == ino:
			lower = in.Lower
		case in.Displaced == ino:
			lower = in.DisplacedLower
		}
	}
	if lower == nil {
		return nil
	}
	s := *lower
	s.Orphan = true
	n := tree.NewNode(ino, c.root.Owner, d.Type, at, s)
	if d.Type == unix.S_IFDIR {
		n.SetTable(&tree.Table{})
	}
	return n
}

// Resent takes back what a request did for the kernel's count of lookups in the process that died with it, before the request
// is handled again.
func (f *FS) Resent(request uint64) {
	for _, g := range f.core.index.TakeBack(request) {
		f.letGo(g, true)
	}
}
