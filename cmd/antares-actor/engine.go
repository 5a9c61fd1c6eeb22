package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/fusebridge"
	"github.com/antares-actor/antares-actor/internal/keeper"
)

// newEngineCommand is what a keeper starts.
func newEngineCommand() *cobra.Command {
	s := server{readyFd: -1}
	cmd := &cobra.Command{
		Use: "engine [mount flags] MOUNTPOINT", Short: "Serve a mount for a keeper", Hidden: true,
		Args: exactArgs(1, "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), endSignals()...)
			defer stop()
			s.link, err = keeper.Connect(actors.SessionVersion) // from now on the keeper passes signals
			if err == nil && s.link == nil {
				err = fmt.Errorf("%w: an engine is started by mount", errUsage)
			}
			if err != nil {
				return err
			}
			return s.supervised(ctx, args[0])
		},
	}
	s.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&s.detached, "detached", false, "leave the terminal when the mount can be used")
	return cmd
}

// newKeeperCommand is what an engine starts whose keeper died.
func newKeeperCommand() *cobra.Command {
	var c mountCommand
	var detached bool
	cmd := &cobra.Command{
		Use: "keeper [mount flags] MOUNTPOINT", Short: "Adopt the engine of a keeper that died", Hidden: true,
		Args: exactArgs(1, "MOUNTPOINT"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := c.complete(); err != nil {
				return err
			}
			return keepEngine(engineArgs("engine", &c.mountOptions, detached, args[0]), &c.mountOptions, args[0], nil)
		},
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&detached, "detached", false, "of the engine")
	return cmd
}

// supervised serves, and tells the supervisor if that ended as it should.
func (s *server) supervised(ctx context.Context, mountpoint string) error {
	if s.link == nil {
		return s.serve(ctx, mountpoint)
	}
	session, err := openSession(s.link)
	s.session = session
	if err == nil {
		err = s.complete()
	}
	if err == nil {
		err = s.serve(ctx, mountpoint)
	}
	switch {
	case errors.Is(err, errHandedOver), errors.Is(err, keeper.ErrNotNeeded):
		return nil // unannounced: the mount goes on
	case errors.Is(err, actors.ErrNotTaken): // nor will another engine take it; who waits for an answer must not do so for ever
	case err != nil && takesOver(s.session) && !s.serving:
		if ctx.Err() == nil || fusebridge.Unmount(mountpoint) != nil {
			return fmt.Errorf("mount not taken over: %w", err) // unannounced, so that another engine tries
		}
		err = nil // it was to end anyway
	}
	return errors.Join(err, s.link.Stopping(exitCode(err)))
}

// mount mounts, or takes over what an earlier engine served.
func (s *server) mount(ctx context.Context, p *parts, mountpoint string, log *slog.Logger) (*actors.Mount, error) {
	spec := s.spec(p.origin, mountpoint)
	spec.Session = s.session
	spec.Moved = func(did actors.Switched) { s.record.shows(did.To.String(), log) }
	guard := func() {
		s.link.Guard(engineArgs("keeper", &s.mountOptions, s.detached, mountpoint), log, func(pid int) { s.record.keptBy(pid, log) })
	}
	switch {
	case s.link == nil:
		return p.engine.Mount(ctx, spec)
	case takesOver(s.session):
		go guard()
		return p.engine.Mount(ctx, spec)
	}
	// Whoever asked for the mount waits for the keeper: without it there is nobody to mount for.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lost := s.link.Lost()
	go func() {
		select {
		case <-lost:
			cancel()
		case <-ctx.Done():
		}
	}()
	m, err := p.engine.Mount(ctx, spec)
	if err == nil {
		go guard()
	}
	return m, err
}

// journalName is the name of the node journal's descriptor, stored and as a file in memory.
const journalName = "journal"

// openSession returns what an earlier engine stored, or for a new mount an empty journal, which is stored. nil if nobody
// stores anything.
func openSession(link *keeper.Link) (*actors.Session, error) {
	if link == nil {
		return nil, nil
	}
	files := link.Files()
	s := &actors.Session{
		Journal: files[journalName], Fuse: files[keeper.FuseName],
		Keep: func(fuse *os.File) error { return link.Store(keeper.FuseName, fuse) },
	}
	if s.Fuse != nil && s.Journal != nil && keeper.Mounted(s.Fuse) {
		return s, nil
	}
	for _, f := range files { // of a mount that has ended
		_ = f.Close()
	}
	s.Fuse = nil
	fd, err := unix.MemfdCreate("antares-journal", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("node journal: %w", err)
	}
	s.Journal = os.NewFile(uintptr(fd), journalName)
	return s, link.Store(journalName, s.Journal)
}

func takesOver(s *actors.Session) bool { return s != nil && s.Fuse != nil }

// reportProgress tells the supervisor that the mount makes progress, for as long as it does. The function that it returns
// ends that.
func (s *server) reportProgress(m *actors.Mount, log *slog.Logger) (stop func()) {
	if s.link == nil {
		return func() {}
	}
	limit := s.watchdog
	if s.link.Watchdog() > 0 { // systemd's
		limit = s.link.Watchdog()
	}
	if limit <= 0 {
		return func() {}
	}
	watch := actors.NewWatch(m)
	done := make(chan struct{})
	go func() {
		ticks := time.NewTicker(limit / 4)
		defer ticks.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticks.C:
			}
			if op, age := watch.Stuck(limit / 2); op != "" { // the supervisor waits as long again, and ends us
				log.Warn("no progress", slog.String("op", op), slog.Duration("for", age))
				continue
			}
			if err := s.link.Alive(); err != nil {
				log.Warn("supervisor does not hear", slog.Any("error", err))
			}
		}
	}()
	return func() { close(done) }
}
