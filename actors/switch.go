package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// A mount is switched to another commit while it is in use. What that does to a name is what a rename over it would do: the
// name shows another file, and who has the old one open goes on reading its bytes. It goes like this:
//
//  1. A worker resolves the revision, and reads the new tree objects of all directories that differ and that anybody has
//     listed (gather). If anything fails until here nothing has happened.
//  2. The new pin is published: what is listed from now on is of the new commit.
//  3. From the root down, each region lays the new lower half under what its directory shows, and publishes the next table
//     (region_switch.go). Directories that are the same in both commits are not looked at: time grows with the difference.
//  4. The kernel drops the names that changed, and the listings. When it has, the switch is done.
//
// What can be read beforehand is (gather). A directory that cannot be read afterwards does not hold up the switch for ever: it
// answers with errors until it can (region_behind.go), and the switch says so.
//
// Upper stays above, by the rules of a mount over the new commit: what was changed stays changed, what was deleted stays
// deleted.

// Switched is what a switch did.
type Switched struct {
	From, To object.ID     // commits
	Names    int           // that the kernel could know and that show something else now
	Dirs     int           // whose listing was laid out anew
	Took     time.Duration // from the publication of the new commit until the kernel had dropped what was old
}

// Switch moves the mount to another revision ("" is the origin's head). It returns when no process can open anything by a name
// of the old one. Files that are open keep their bytes. If it fails, nothing has changed: remote.ErrUnknownRev, ErrNoPath if the
// revision lacks MountSpec.Path, ErrBadSpec if there is no origin, or why something could not be read. But with ErrBehind the
// mount shows the new commit, and a directory that could not be read answers with errors until it can.
func (m *Mount) Switch(ctx context.Context, rev string) (Switched, error) {
	return m.switchTo(ctx, target{rev: rev})
}

func (m *Mount) switchTo(ctx context.Context, to target) (Switched, error) {
	l := m.live.Load()
	if l == nil || m.spec.Origin == nil {
		return Switched{}, fmt.Errorf("%w: %s has no commit to switch from", ErrBadSpec, m.spec.Mountpoint)
	}
	cmd := &switchTo{ctx: ctx, to: to}
	cmd.open()
	l.core.dicfuseActor.Tell(cmd)
	err := cmd.wait(Caller{Cancel: ctx.Done()})
	if errors.Is(err, ErrInterrupted) && ctx.Err() != nil {
		err = ctx.Err()
	}
	return cmd.did, err
}

// target is what a mount is to show.
type target struct {
	rev        string
	keep       bool        // the commit stays
	changelist *Changelist // nil: it stays
}

func (t *target) String() string {
	switch {
	case t.changelist != nil && t.changelist.Link == "":
		return "no changelist"
	case t.changelist != nil:
		return "changelist " + t.changelist.Link
	case t.rev == "":
		return "the head"
	default:
		return t.rev
	}
}

// Commands and facts to the dicfuse actor.
type (
	switchTo struct {
		Call
		ctx context.Context
		to  target
		did Switched // the answer
	}
	prepared struct {
		cmd  *switchTo
		plan *switching
		err  error
	}
	settled struct{ run *switching }
	proceed struct{} // the actor panicked, and some wait
	// redirected says that a directory's lower half is found by a path and not by its name.
	redirected struct{ Node *tree.Node }
)

// switching is a switch that is under way.
type switching struct {
	cmd     *switchTo
	to      pinned
	pin     *tree.Pin
	trees   map[object.ID][]byte // payloads of the directories that differ; immutable
	leaving []*tree.Node         // will lose their names, with all below them; immutable
	began   time.Time
	pending atomic.Int64 // retrees that are not done
	names   atomic.Int64
	dirs    atomic.Int64
	behind  atomic.Pointer[error] // why a directory could not be laid out; the first of them
	done    func()                // called when pending comes to 0
}

// ErrBehind reports a directory that cannot be read since the mount was switched.
var ErrBehind = errors.New("the mount was switched, but not this directory")

// failed notes that a directory could not be laid out.
func (s *switching) failed(err error) { s.behind.CompareAndSwap(nil, &err) }

// outcome is what is said to who wanted the switch.
func (s *switching) outcome() error {
	if err := s.behind.Load(); err != nil {
		return *err
	}
	return nil
}

// part is what one message does of a switch. It is done once, whatever panics and comes again.
type part struct {
	Switch *switching
	over   atomic.Bool
}

func (s *switching) begin(p *part) {
	p.Switch = s
	s.pending.Add(1)
}

func (p *part) finish() {
	if p.over.CompareAndSwap(false, true) && p.Switch.pending.Add(-1) == 0 {
		p.Switch.done()
	}
}

// retree sends a directory to its region, to be laid out anew.
func (s *switching) retree(dir *tree.Node) {
	m := &retree{Dir: dir}
	s.begin(&m.part)
	dir.Owner.Tell(m)
}

// rebase sends a directory that no parent leads to by its name to the region in which it stands.
func (s *switching) rebase(m *rebase) {
	s.begin(&m.part)
	owner := m.Node.Owner
	if p := m.Node.Place().Parent; p != nil {
		owner = p.Owner
	}
	owner.Tell(m)
}

// next begins the first switch in the queue, unless one is under way.
func (d *dicfuse) next() {
	p := d.core.pins
	for p.running == nil && len(p.queue) > 0 {
		cmd := p.queue[0]
		p.queue = p.queue[1:]
		if cmd.over() {
			continue
		}
		p.running = &switching{cmd: cmd}
		d.prepare(cmd)
	}
}

// prepare reads what the switch needs, in a worker.
func (d *dicfuse) prepare(cmd *switchTo) {
	c, self, from := d.core, d.self, *d.core.pins.shown.Load()
	redirected := slices.Collect(maps.Keys(d.core.pins.redirected))
	c.working.Go(func() {
		fact := &prepared{cmd: cmd, err: ErrPanic}
		defer func() {
			if r := recover(); r != nil {
				c.log.Error("preparing a switch panicked", slog.Any("reason", r))
			}
			self.Tell(fact)
		}()
		ctx, cancel := context.WithCancel(cmd.ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)()
		fact.plan, fact.err = c.planSwitch(ctx, cmd, from, redirected)
	})
}

// prepared publishes the new pin and sends it down the tree.
func (d *dicfuse) prepared(m *prepared) {
	p := d.core.pins
	if p.running == nil || p.running.cmd != m.cmd {
		return // of a switch that panicked
	}
	from := p.shown.Load()
	if m.err != nil || !m.cmd.begin() {
		p.running = nil
		m.cmd.finish(m.err)
		d.next()
		return
	}
	run := m.plan
	m.cmd.did = Switched{From: from.commit.ID, To: run.to.commit.ID}
	if run.to.commit.ID == from.commit.ID && run.to.tree == from.tree && m.cmd.to.changelist == nil { // as mostly when it follows
		p.running = nil
		m.cmd.finish(nil)
		d.next()
		return
	}
	p.running = run
	run.began = time.Now()
	run.done = func() {
		d.core.notifier.Tell(&told{then: func() { d.self.Tell(&settled{run: run}) }})
	}
	d.note(&run.to, true, run.leaving)
	p.switched.Store(true)
	p.shown.Store(&run.to)
	var all part // until all are sent
	run.begin(&all)
	if run.to.tree != from.tree {
		run.rebase(&rebase{Node: d.core.root, Object: run.to.tree})
		for n := range p.redirected {
			if n.State().Orphan {
				delete(p.redirected, n)
				continue
			}
			run.rebase(&rebase{Node: n})
		}
	}
	all.finish()
}

// redirected has a directory that was just given a redirect laid out by the switch that is under way: it may be on its way from a
// directory to which that has not come yet, to one that it has left.
func (d *dicfuse) redirected(n *tree.Node) {
	p := d.core.pins
	p.redirected[n] = struct{}{}
	if run := p.running; run != nil && run.pin != nil { // it is published
		run.rebase(&rebase{Node: n})
	}
}

// settled ends a switch.
func (d *dicfuse) settled(m *settled) {
	p := d.core.pins
	if p.running != m.run || m.run.pending.Load() > 0 { // another one comes when that is done
		return
	}
	p.running = nil
	d.note(&m.run.to, false, nil)
	d.core.source.made.only(m.run.to.changelist) // nothing shows those of the one before any more
	did := &m.run.cmd.did
	did.Names, did.Dirs, did.Took = int(m.run.names.Load()), int(m.run.dirs.Load()), time.Since(m.run.began)
	d.core.log.Info("switched", slog.String("to", did.To.String()), slog.Int("names", did.Names),
		slog.Int("directories", did.Dirs), slog.Duration("took", did.Took))
	if moved := d.core.moved; moved != nil {
		go moved(*did)
	}
	m.run.cmd.finish(m.run.outcome())
	d.next()
}

// note leaves word of what the mount shows to the process that takes it over, before anybody can see it, and of what will lose
// its name.
func (d *dicfuse) note(at *pinned, moving bool, leaving []*tree.Node) {
	said := *at
	said.switched, said.moving = true, moving
	also := func(b *tree.Batch) {
		for _, n := range leaving {
			d.core.eachLower(n, b.Leaving)
		}
	}
	if err := notePinned(d.core.journal, &said, d.core.upper.Store.Format(), also); err != nil {
		d.core.log.Warn("a process that takes over will not know the commit", slog.Any("error", err))
	}
}
