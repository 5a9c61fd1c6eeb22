package actors

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/antares-actor/antares-actor/internal/tree"
)

// behaviour is what one of our actors does; guard makes an actor of it.
type behaviour interface {
	// receive handles one message. It never blocks.
	receive(msg any)
	// failed is told the message that receive panicked on, before the restart.
	failed(msg any)
	// parked returns the messages that wait for something, to be received again by the next incarnation.
	parked() []any
}

// probe is a test's, to look at messages and to panic: called before each message, and what it returns after it, unless nil.
type probe func(actor string, msg any) (after func())

// guard is the actor around each behaviour: law 3.
type guard struct {
	name  string
	log   *slog.Logger
	probe probe
	behaviour
}

// Receive implements actor.Actor.
func (g *guard) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped:
	case *actor.Restarting:
		for _, m := range g.parked() {
			ctx.Send(ctx.Self(), m)
		}
	default:
		defer g.recover(msg)
		if g.probe == nil {
			g.receive(msg)
			return
		}
		after := g.probe(g.name, msg)
		g.receive(msg)
		if after != nil {
			after()
		}
	}
}

// recover answers the request in hand, and lets the panic go on to the supervisor, which restarts the actor.
func (g *guard) recover(msg any) {
	reason := recover()
	if reason == nil {
		return
	}
	g.log.Error("actor panicked", slog.String("actor", g.name), slog.String("message", fmt.Sprintf("%T", msg)),
		slog.Any("reason", reason), slog.String("stack", string(debug.Stack())))
	g.failed(msg)
	if r, ok := msg.(request); ok {
		r.call().finish(ErrPanic)
	}
	panic(reason)
}

// stage spawns actors under one supervisor, which restarts a failed one at once and for ever: its state is on disk and in
// snapshots, so that a restart costs nothing and an actor that stays dead would hang its callers. The actors are siblings:
// restarting a parent would stop its children.
type stage struct {
	system *actor.ActorSystem
	root   *actor.RootContext
	disp   *dispatcher
	log    *slog.Logger
	probe  probe
}

func newStage(log *slog.Logger) *stage {
	cfg := actor.NewConfig()
	cfg.LoggerFactory = func(*actor.ActorSystem) *slog.Logger { return slog.New(quiet{log.Handler()}) }
	cfg.DeadLetterRequestLogging = false
	system := actor.NewActorSystemWithConfig(cfg)
	st := &stage{
		system: system, log: log, disp: newDispatcher(),
		root: system.Root.WithGuardian(actor.NewRestartingStrategy()),
	}
	system.EventStream.Subscribe(func(event any) {
		if dead, ok := event.(*actor.DeadLetterEvent); ok {
			if r, ok := dead.Message.(request); ok {
				r.call().finish(ErrStopped)
			}
		}
	})
	return st
}

// quiet passes on what the actor library warns of, without its notes on each start.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

// handle is a spawned actor's address.
type handle struct {
	tree.Owner
	pid *actor.PID
}

// spawn starts an actor; make is called again for each restart. id is for logs.
func (st *stage) spawn(name string, id uint32, make func(self *handle) behaviour) *handle {
	h := &handle{Owner: tree.Owner{ID: id}}
	props := actor.PropsFromProducer(func() actor.Actor {
		return &guard{name: name, log: st.log, probe: st.probe, behaviour: make(h)}
	}, actor.WithDispatcher(st.disp))
	h.Tell = func(msg any) { st.root.Send(h.pid, msg) } // nobody has h before pid is set
	h.pid = st.root.Spawn(props)
	return h
}

// stop stops the actors, in the order given, each after what is in its mailbox.
func (st *stage) stop(hs ...*handle) {
	for _, h := range hs {
		_ = st.root.PoisonFuture(h.pid).Wait()
	}
}
