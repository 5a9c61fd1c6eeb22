package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// Mount is one mount of an engine.
type Mount struct {
	engine *Engine
	spec   MountSpec // immutable
	actor  *handle   // immutable once the mount is listed
	state  atomic.Uint32
	live   atomic.Pointer[live]
	done   chan struct{} // closed by the mount actor when the mount has ended

	leaving atomic.Bool // it goes on with another process

	// Owned by the mount actor, whose incarnations share them: parked, those who wait would come behind a fact that is about
	// them and is in the mailbox already.
	started  bool       // a worker provisions
	attempts uint64     // how often an unmount was begun or refused
	waiting  []*unmount // for the mount's end, or for a refusal
}

// live is what a mount has from Mounted on. Immutable.
type live struct {
	core  *core
	conn  Conn
	since time.Time
}

// State returns where the mount is in its life.
func (m *Mount) State() State { return State(m.state.Load()) }

// Mountpoint returns where it is mounted.
func (m *Mount) Mountpoint() string { return m.spec.Mountpoint }

// Spec returns what was asked for, completed by defaults.
func (m *Mount) Spec() MountSpec { return m.spec }

// Done is closed when the mount has ended, by Unmount or from outside.
func (m *Mount) Done() <-chan struct{} { return m.done }

// Commit returns the commit that the mount shows; the zero id before Mounted, and of a mount without an origin.
func (m *Mount) Commit() object.ID {
	if l := m.live.Load(); l != nil {
		return l.core.pins.shown.Load().commit.ID
	}
	return object.ID{}
}

// Stats returns the mount's numbers.
func (m *Mount) Stats() Stats {
	s := Stats{State: m.State()}
	if m.spec.Origin != nil {
		s.Origin = m.spec.Origin.Counts()
	}
	l := m.live.Load()
	if l == nil {
		return s
	}
	l.core.source.counts.stats(&s)
	s.Commit, s.Since = l.core.pins.shown.Load().commit.ID, l.since
	s.Inodes, s.Regions = l.core.index.Len(), l.core.regions.count.Load()
	s.OpenFiles = l.core.upper.Store.OpenFiles()
	s.Requests, s.Errors = l.conn.Counts()
	return s
}

// FS returns the mount's file system, for bridges and tests; nil before Mounted.
func (m *Mount) FS() *FS {
	if l := m.live.Load(); l != nil {
		return &FS{core: l.core}
	}
	return nil
}

// Unmount takes the mount away and returns when everything of it is stopped and closed. ErrBusy if it is in use;
// ErrUnmounted if it has ended already.
func (m *Mount) Unmount(ctx context.Context) error {
	cmd := &unmount{}
	cmd.open()
	m.actor.Tell(cmd)
	select {
	case <-cmd.done:
		return cmd.unmounted()
	case <-ctx.Done():
		return ctx.Err()
	case <-m.done: // a stopped actor drops its messages
	}
	select {
	case <-cmd.done: // answered before done was closed
		return cmd.unmounted()
	default:
		return ErrUnmounted
	}
}

// unmounted is the command's outcome. A mount's actor is stopped only when the mount has ended, so a command that was found
// among the dead letters came after the end.
func (u *unmount) unmounted() error {
	if errors.Is(u.err, ErrStopped) {
		return ErrUnmounted
	}
	return u.err
}

// provision makes what a mount needs, in the order in which less has to be undone; it undoes what it made if it fails.
func (m *Mount) provision(ctx context.Context) (_ *live, err error) {
	spec, e := m.spec, m.engine
	if spec.Session != nil && spec.Session.Fuse != nil {
		return m.takeOver(ctx)
	}
	if err := e.cfg.Bridge.Check(spec.Mountpoint, spec.Over); err != nil {
		return nil, err
	}
	src := m.source()
	at, err := src.quiet().resolve(ctx, target{rev: spec.Rev, changelist: &spec.Changelist}, pinned{path: spec.Path})
	if err != nil {
		return nil, err
	}
	store, err := upper.Open(m.storeConfig())
	if err != nil {
		return nil, err
	}
	local, err := openLowers(spec, store.Prefix())
	if err != nil {
		store.Discard(spec.Work)
		return nil, err
	}
	journal, err := newJournal(spec.Session, at, store.Format())
	if err != nil {
		local.Close()
		store.Discard(spec.Work)
		return nil, err
	}
	c := e.newCore(store, local, src, at, spec, journal)
	conn, err := e.cfg.Bridge.Attach(ctx, &FS{core: c}, attachOptions(spec, at, journal))
	if err != nil {
		c.stop()
		store.Discard(spec.Work)
		return nil, err
	}
	c.conn.Store(&conn)
	return &live{core: c, conn: conn, since: time.Now()}, nil
}

// newCore builds the mount's layers, its root, and its actors.
func (e *Engine) newCore(store *upper.Store, local *layer.Local, src *source, at pinned, spec MountSpec, journal *tree.Journal) *core {
	c := &core{
		journal: journal,
		log:     e.cfg.Log, stage: e.stage, workers: e.workers, index: tree.NewIndex(), source: src, loader: e.loader,
		upper:   layer.NewPassthrough(store),
		local:   local,
		fixed:   spec.Fixed,
		dicfuse: layer.NewDicfuse(src.content, at.path, at.commit.Time, spec.UID, spec.GID),
		pins:    newPins(at),
		moved:   spec.Moved,
	}
	c.ctx, c.cancel = context.WithCancel(e.ctx)
	c.dicfuseActor = e.stage.spawn("dicfuse", 0, func(self *handle) behaviour { return &dicfuse{core: c, self: self} })
	c.upperActor = e.stage.spawn("upper", 0, func(*handle) behaviour { return &upperLayer{core: c} })
	c.copyUp = e.stage.spawn("copy-up", 0, func(self *handle) behaviour { return newCopyUp(c, self) })
	if spec.Origin != nil {
		c.profile = loadProfile(e.cfg.Profiles, spec.Profile, c.log)
	}
	if budget := prefetchBudget(spec); budget > 0 || c.profile != nil {
		c.prefetcher = e.stage.spawn("prefetch", 0, func(self *handle) behaviour { return newPrefetcher(c, self, budget) })
	}
	c.notifier = e.stage.spawn("notifier", 0, func(*handle) behaviour { return &notifier{core: c} })
	c.root = tree.NewNode(tree.RootIno, c.spawnRegion(), typeDir, tree.Place{},
		tree.State{Where: tree.Upper, Object: at.tree, UpperIno: store.Root().Ino(), Below: rootBelow(local)})
	c.replay()
	c.index.Remember(c.root, 0) // the kernel knows it without asking
	c.index.Attach(journal)
	return c
}

const typeDir = 0o040000

// stop ends the mount's actors. No request is being served any more.
func (c *core) stop() {
	c.cancel()
	c.stage.stop(c.regions.all()...)
	if c.prefetcher != nil {
		c.stage.stop(c.prefetcher)
	}
	c.stage.stop(c.copyUp, c.dicfuseActor, c.notifier, c.upperActor)
	c.endFetches()
	c.working.Wait()
	c.profile.end(c)
	if err := c.journal.Close(); err != nil {
		c.log.Warn("node journal", slog.Any("error", err))
	}
	c.upper.Close()
	c.local.Close()
}

// Commands and facts to a mount actor.
type (
	unmount     struct{ Call }
	provisioned struct {
		cmd  *startMount
		live *live
		err  error
	}
	detached struct{} // the kernel has let go of the mount
	stopped  struct{} // everything of the mount is stopped and closed
	refused  struct {
		attempt uint64
		err     error
	}
	// again is a fact whose handling panicked, once more: nobody would send it a second time, and a mount that misses one
	// stays where it is for ever. Each handler of a fact can be called twice.
	again struct{ fact any }
)

// mountActor owns a mount's state, which is in the Mount.
type mountActor struct {
	mount  *Mount
	self   *handle
	missed any // the fact whose handling panicked
}

func (a *mountActor) receive(msg any) {
	switch m := msg.(type) {
	case *startMount:
		a.start(m)
	case *provisioned:
		a.provisioned(m)
	case *unmount:
		a.unmount(m)
	case *refused:
		if a.mount.State() == Quiescing && m.attempt == a.mount.attempts { // or it is gone meanwhile: the answer is on its way
			a.mount.attempts++ // received again, it is not about the next attempt
			a.mount.state.Store(uint32(Ready))
			a.answer(m.err)
		}
	case *detached:
		a.detached()
	case *stopped:
		a.answer(nil)
		a.ended(Unmounted)
	case *again:
		a.receive(m.fact)
	}
}

func (a *mountActor) failed(msg any) {
	switch m := msg.(type) {
	case *startMount:
		if !m.mount.started { // else the worker's fact comes, and finds that nobody waits for the mount
			a.missed = &provisioned{cmd: m, err: ErrPanic}
		}
	case *unmount:
	case *again: // twice
		a.giveUp(m.fact)
	default:
		a.missed = &again{fact: m}
	}
}

// giveUp answers those who wait for what a fact would have brought about.
func (a *mountActor) giveUp(fact any) {
	if a.mount.State() == Quiescing {
		a.mount.state.Store(uint32(Ready))
	}
	if p, ok := fact.(*provisioned); ok {
		p.cmd.finish(ErrPanic)
	}
	a.answer(ErrPanic)
}

func (a *mountActor) parked() []any {
	if a.missed == nil {
		return nil
	}
	return []any{a.missed}
}

// start provisions in a worker: it reads from the origin.
func (a *mountActor) start(cmd *startMount) {
	if cmd.over() {
		a.ended(Failed)
		return
	}
	mount, self := a.mount, a.self
	mount.started = true
	go func() {
		fact := &provisioned{cmd: cmd, err: ErrPanic}
		defer func() {
			if r := recover(); r != nil {
				mount.engine.cfg.Log.Error("mounting panicked", slog.Any("reason", r))
			}
			self.Tell(fact)
		}()
		fact.live, fact.err = mount.provision(cmd.ctx)
	}()
}

func (a *mountActor) provisioned(m *provisioned) {
	if a.mount.State() != Provisioning {
		return
	}
	if m.err != nil {
		a.ended(Failed)
		m.cmd.finish(m.err)
		return
	}
	a.mount.live.Store(m.live)
	a.mount.state.Store(uint32(Mounted))
	self, conn := a.self, m.live.conn
	go func() {
		<-conn.Done()
		self.Tell(&detached{})
	}()
	if a.mount.spec.Follow > 0 {
		go a.mount.follow(m.live.core.ctx)
	}
	a.mount.state.Store(uint32(Ready)) // the root is listed and pinned; nothing else is prewarmed

	if m.cmd.over() || len(a.mount.waiting) > 0 { // an actor panicked and nobody has the mount, or it was to end before it was there
		nobody := &unmount{}
		nobody.open()
		self.Tell(nobody)
	}
	m.cmd.finish(nil)
}

func (a *mountActor) unmount(m *unmount) {
	a.mount.waiting = append(a.mount.waiting, m)
	if a.mount.State() != Ready {
		if s := a.mount.State(); s == Unmounted || s == Failed {
			a.answer(ErrUnmounted)
		}
		return // under way: it answers all who wait
	}
	a.mount.state.Store(uint32(Quiescing))
	a.mount.attempts++
	self, conn, attempt := a.self, a.mount.live.Load().conn, a.mount.attempts
	go func() {
		if err := conn.Unmount(); err != nil {
			self.Tell(&refused{attempt: attempt, err: err})
		}
	}()
}

// detached stops the mount's actors in a worker: they are stopped by messages that are waited for.
func (a *mountActor) detached() {
	if a.mount.State() >= Unmounting {
		return
	}
	a.mount.state.Store(uint32(Unmounting))
	self, l := a.self, a.mount.live.Load()
	go func() {
		leaving := a.mount.leaving.Load()
		if leaving {
			l.core.journal.Note(noteHanded, []byte{1})
		}
		l.core.stop()
		if leaving {
			l.core.upper.Store.Leave()
		} else {
			l.core.upper.Store.Close()
		}
		self.Tell(&stopped{})
	}()
}

func (a *mountActor) ended(s State) {
	if a.mount.State() >= Unmounted {
		return
	}
	a.mount.state.Store(uint32(s))
	close(a.mount.done)
	a.mount.engine.actor.Tell(&mountEnded{mount: a.mount})
}

func (a *mountActor) answer(err error) {
	for _, w := range a.mount.waiting {
		w.finish(err)
	}
	a.mount.waiting = nil
}

// String names the mount in logs.
func (m *Mount) String() string {
	return fmt.Sprintf("%s on %s", m.spec.origin(), m.spec.Mountpoint)
}
