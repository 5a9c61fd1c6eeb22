package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/fusebridge"
	"github.com/antares-actor/antares-actor/internal/control"
	"github.com/antares-actor/antares-actor/internal/keeper"
)

// server mounts and serves, in the process of its own that the mount needs.
type server struct {
	mountOptions
	link     *keeper.Link // to the keeper, or to systemd; nil: nobody holds anything for another process
	detached bool         // from the terminal, once the mount can be used
	readyFd  int          // is told then; -1 for none

	session  *actors.Session
	serving  bool
	terminal *terminal // nil unless the log goes to a file
	record   published
	asked    *control.Server // nil if it could not listen
}

// minProcs is how many goroutines may run at once at least. A reader that blocks in read(2) holds its place until the
// runtime notices; with as many places as cores, a request waits for that (23 us a round trip on 2 vCPU, 17.5 with 4).
const minProcs = 4

// serve mounts, or takes a mount over, and serves until the mount is gone.
func (s *server) serve(ctx context.Context, mountpoint string) error {
	if s.logFile != "" {
		t, err := logTo(s.logFile)
		if err != nil && !takesOver(s.session) { // the mount is worth more
			return err
		}
		defer t.back() // why it could not be mounted is said to whoever asked for the mount
		s.terminal = t
	}
	log, err := newLogger(s.logLevel)
	if err != nil {
		return err
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(minProcs, runtime.NumCPU()))
	}
	liftFileSize()
	mounting := ctx
	if takesOver(s.session) {
		mounting = context.WithoutCancel(ctx) // a signal unmounts it then
	} else {
		detachDead(s.upper, log)
		waitForEnding(ctx, s.upper)
	}
	p, err := assemble(mounting, &s.mountOptions, log)
	if err != nil {
		return err
	}
	var since time.Time
	if s.link != nil {
		if since, err = s.link.StandBy(); err != nil {
			return errors.Join(err, p.close())
		}
	}
	m, err := s.mount(mounting, p, mountpoint, log)
	if err != nil {
		return errors.Join(err, p.close())
	}
	s.serving = true
	listed := newRecord(m, &s.mountOptions, since)
	listed.Control = s.control(m, log)
	if err := s.record.write(listed, s.link); err != nil {
		log.Warn("mount will be missing from list", slog.Any("error", err))
	}
	defer s.uncontrol(log)
	s.announce(log, m, takesOver(s.session))
	defer s.reportProgress(m, log)()
	defer s.warmUp(m, log)()
	if err := s.untilDone(ctx, m, p.store, log); err != nil {
		return err
	}
	s.record.remove()
	if s.ephemeral {
		if err := os.RemoveAll(filepath.Dir(s.upper)); err != nil {
			log.Warn("changes stay", slog.Any("error", err))
		}
	}
	if s.stats != "" {
		if err := writeStats(s.stats, m, p.store); err != nil {
			log.Warn("no statistics", slog.Any("error", err))
		}
	}
	return p.close()
}

// control listens for those who want the mount to show something else, and returns the socket's path. A mount without it is
// worth something, too.
func (s *server) control(m *actors.Mount, log *slog.Logger) string {
	sweepSockets()
	path, err := socket(os.Getpid()), os.MkdirAll(recordDir(), 0o755)
	if err == nil {
		s.asked, err = control.Listen(path, m, log)
	}
	if err != nil {
		log.Warn("mount cannot be switched", slog.Any("error", err))
		return ""
	}
	return path
}

func (s *server) uncontrol(log *slog.Logger) {
	if s.asked == nil {
		return
	}
	if err := s.asked.Close(); err != nil {
		log.Debug("control", slog.Any("error", err))
	}
}

// warmUp begins to fetch what --warm names. The function that it returns waits for the end, which is the mount's at the latest.
func (s *server) warmUp(m *actors.Mount, log *slog.Logger) (wait func()) {
	if len(s.warm) == 0 {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var last actors.WarmProgress
		err := m.Warm(context.Background(), s.warm, func(p actors.WarmProgress) { last = p })
		if errors.Is(err, actors.ErrUnmounted) {
			return
		}
		log.Info("warm", slog.Uint64("files", last.Done), slog.Uint64("bytes", last.Bytes), slog.Any("error", err))
	}()
	return func() { <-done }
}

// announce tells whoever waits that the mount can be used; people last: the watchdog begins when the supervisor knows.
func (s *server) announce(log *slog.Logger, m *actors.Mount, taken bool) {
	if s.detached {
		s.terminal.leave()
		leaveTerminal(s.logFile)
		tellReady(s.readyFd)
	}
	if s.link != nil {
		if err := s.link.Ready("serving " + m.Mountpoint()); err != nil {
			log.Error("supervisor does not hear", slog.Any("error", err))
		}
	}
	if !s.detached || s.logFile != "" { // else our parent says it
		what := "mounted"
		if taken {
			what = "taken over"
		}
		log.Info(what, slog.String("on", m.Mountpoint()), slog.String("origin", s.shows()),
			slog.String("commit", commitOf(m)), slog.String("upper", s.upper))
	}
	if !s.detached && !taken {
		fmt.Printf("mounted %s on %s\nchanges go to %s\n", s.shows(), m.Mountpoint(), s.upper)
	}
}

// commitOf returns what a mount shows, "" if it has no origin.
func commitOf(m *actors.Mount) string {
	if m.Commit().IsZero() {
		return ""
	}
	return m.Commit().String()
}

// errHandedOver is the end of a server whose mount goes on with another one.
var errHandedOver = errors.New("handed over")

// untilDone returns when the mount is gone, or with errHandedOver when another process is to serve it.
func (s *server) untilDone(ctx context.Context, m *actors.Mount, store *cache.Store, log *slog.Logger) error {
	var orders <-chan keeper.Order
	if s.link != nil {
		orders = s.link.Orders()
	}
	for {
		select {
		case <-m.Done():
			return nil
		case <-ctx.Done():
			unmountWhenFree(m, log)
			return nil
		case o := <-orders:
			if why, refused := strings.CutPrefix(string(o), keeper.Refused); refused {
				s.record.refused(why, log)
			}
			if o != keeper.Handover {
				continue
			}
			if store != nil {
				store.Sync() // what waits for the disk would be fetched again
			}
			if err := m.HandOver(context.Background()); err != nil { // the keeper's patience ends first
				log.Info("handed over with requests under way", slog.Any("error", err))
			}
			return errHandedOver
		}
	}
}

// unmountWhenFree unmounts upon a signal. If the mount is busy it goes on, and a further signal detaches it.
func unmountWhenFree(m *actors.Mount, log *slog.Logger) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, endSignals()...)
	for {
		err := m.Unmount(context.Background())
		if err == nil || errors.Is(err, actors.ErrUnmounted) {
			return
		}
		log.Error("mount stays; interrupt again to detach it", slog.Any("error", err))
		select {
		case <-m.Done():
			return
		case <-again:
		}
		if err := fusebridge.Detach(m.Mountpoint()); err != nil {
			log.Error("detach", slog.Any("error", err))
			continue
		}
		<-m.Done()
		return
	}
}

// hangupIgnored: nohup(1) started us. It is looked at before anything asks for signals.
var hangupIgnored = signal.Ignored(unix.SIGHUP)

// endSignals are those that end a mount.
func endSignals() []os.Signal {
	if hangupIgnored {
		return []os.Signal{unix.SIGINT, unix.SIGTERM}
	}
	return []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP}
}

// liftFileSize takes away the limit on the size of files that this process has from whoever mounted: what is written in the mount
// is under the writer's own, and content and journal are nobody's. Without the privilege the hard limit stays.
func liftFileSize() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) != nil || limit.Cur == unix.RLIM_INFINITY {
		return
	}
	if unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}) != nil {
		_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit.Max, Max: limit.Max})
	}
}
