package actors

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/antares-actor/antares-actor/internal/lfs"
)

// Config is what an engine is made of.
type Config struct {
	Content Content // shared by all mounts; the caller closes it, after the engine
	Bridge  Bridge
	Log     *slog.Logger // nil: slog.Default()
	// Profiles is the directory for the profiles of mounts that have one, made if missing; "": nothing is recorded.
	Profiles string
	Fetches  int // how many fetches may be under way at once, of all mounts together; 0: 64

	probe  probe
	linger time.Duration // 0: lingerTime; less: none
}

// Engine runs any number of mounts, which share its loader and its content store.
type Engine struct {
	cfg     Config
	stage   *stage
	actor   *handle
	loader  *handle
	traffic *traffic // the loader's
	workers chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	mounts  atomic.Pointer[[]*Mount] // published by the engine actor
	closed  atomic.Bool              // set by Close
	lfs     *lfs.Content             // the content store of mounts with Git LFS; immutable
}

// NewEngine starts an engine. It returns an error for an incomplete Config only.
func NewEngine(cfg Config) (*Engine, error) {
	if cfg.Content == nil || cfg.Bridge == nil {
		return nil, errors.New("engine: Config needs Content and Bridge")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.linger == 0 {
		cfg.linger = lingerTime
	}
	e := &Engine{cfg: cfg, stage: newStage(cfg.Log), workers: make(chan struct{}, 4*runtime.GOMAXPROCS(0)), lfs: lfs.NewContent(cfg.Content)}
	e.stage.probe = cfg.probe
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.mounts.Store(&[]*Mount{})
	e.traffic = newTraffic(cfg.Fetches)
	e.loader = e.stage.spawn("loader", 0, func(self *handle) behaviour { return newLoader(e.ctx, self, e.stage.disp.Schedule, e.traffic) })
	e.actor = e.stage.spawn("engine", 0, func(self *handle) behaviour { return &engineActor{engine: e, self: self} })
	return e, nil
}

// Mount mounts spec and returns when it can be used. The context bounds the mounting, not the mount.
func (e *Engine) Mount(ctx context.Context, spec MountSpec) (*Mount, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if err := e.wrapLFS(&spec); err != nil {
		return nil, err
	}
	cmd := &startMount{ctx: ctx, mount: &Mount{engine: e, spec: spec, done: make(chan struct{})}}
	cmd.open()
	e.actor.Tell(cmd)
	if err := cmd.wait(Caller{Cancel: ctx.Done()}); err != nil {
		if errors.Is(err, ErrInterrupted) {
			err = ctx.Err()
		}
		return nil, err
	}
	return cmd.mount, nil
}

// Mounts returns the mounts that are being made or are there.
func (e *Engine) Mounts() []*Mount { return *e.mounts.Load() }

// Close unmounts everything and stops the engine; again, it does nothing. A mount that is busy stays, and so does the engine:
// the error says which.
func (e *Engine) Close(ctx context.Context) error {
	var errs []error
	for _, m := range e.Mounts() {
		if err := m.Unmount(ctx); err != nil && !errors.Is(err, ErrUnmounted) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if e.closed.Swap(true) {
		return nil
	}
	e.cancel()
	e.stage.stop(e.actor, e.loader)
	e.stage.disp.stop()
	e.stage.system.Shutdown()
	return nil
}

// Commands to the engine actor.
type (
	startMount struct {
		Call
		ctx   context.Context
		mount *Mount
	}
	mountEnded struct{ mount *Mount }
)

// engineActor owns the list of mounts.
type engineActor struct {
	engine *Engine
	self   *handle
}

func (a *engineActor) receive(msg any) {
	switch m := msg.(type) {
	case *startMount:
		if !m.begin() {
			return
		}
		m.mount.actor = a.engine.stage.spawn("mount", 0, func(self *handle) behaviour { return &mountActor{mount: m.mount, self: self} })
		list := append([]*Mount{m.mount}, a.engine.Mounts()...)
		a.engine.mounts.Store(&list)
		m.mount.actor.Tell(m)
	case *mountEnded:
		var list []*Mount
		for _, other := range a.engine.Mounts() {
			if other != m.mount {
				list = append(list, other)
			}
		}
		a.engine.mounts.Store(&list)
		a.engine.stage.root.Stop(m.mount.actor.pid)
	case *again:
		a.receive(m.fact)
	}
}

func (a *engineActor) failed(msg any) {
	switch m := msg.(type) {
	case *mountEnded: // nobody would say it a second time
		a.self.Tell(&again{fact: m})
	case *again:
	}
}

func (a *engineActor) parked() []any { return nil }
