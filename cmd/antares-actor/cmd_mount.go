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

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/fusebridge"
)

type mountCommand struct {
	mountOptions
	detach  bool
	readyFd int

	terminal *terminal // nil unless the log goes to a file
}

func newMountCommand() *cobra.Command {
	var c mountCommand
	cmd := &cobra.Command{
		Use:   "mount [flags] MOUNTPOINT",
		Short: "Mount a repository at one commit",
		Long: `Mount a repository at one commit on MOUNTPOINT, an empty directory. It stays in the foreground until it is interrupted or
unmounted; with --detach it returns when the mount can be used.

A mount that is in use when it is interrupted stays, and says who holds it; interrupted again, it leaves the name space and
ends when the last holder lets go.`,
		Args: exactArgs(1, "MOUNTPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&c.detach, "detach", false, "return as soon as the mount can be used")
	cmd.Flags().IntVar(&c.readyFd, "ready-fd", -1, "tell this descriptor when the mount can be used")
	_ = cmd.Flags().MarkHidden("ready-fd")
	return cmd
}

func (c *mountCommand) run(ctx context.Context, mountpoint string) error {
	mountpoint, err := filepath.Abs(mountpoint)
	if err != nil {
		return err
	}
	if err := c.complete(); err != nil {
		return err
	}
	if c.detach {
		if _, err := startDetached(ctx, &c.mountOptions, mountpoint); err != nil {
			return err
		}
		fmt.Printf("mounted %s on %s\nchanges go to %s\n", c.shows(), mountpoint, c.upper)
		return nil
	}
	return c.serve(ctx, mountpoint)
}

// minProcs is how many goroutines may run at once at least. A reader that blocks in read(2) holds its place until the
// runtime notices; with as many places as cores, a request waits for that (23 us a round trip on 2 vCPU, 17.5 with 4).
const minProcs = 4

// serve mounts and serves until the mount is gone.
func (c *mountCommand) serve(ctx context.Context, mountpoint string) error {
	if c.readyFd >= 0 {
		unix.CloseOnExec(c.readyFd) // or git's processes would hold it, and whoever waits for its end would wait for theirs
	}
	if c.logFile != "" {
		t, err := logTo(c.logFile)
		if err != nil {
			return err
		}
		defer t.back() // why it could not be mounted is said to whoever asked for the mount
		c.terminal = t
	}
	log, err := newLogger(c.logLevel)
	if err != nil {
		return err
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(minProcs, runtime.NumCPU()))
	}
	waitForEnding(ctx, c.upper)
	p, err := assemble(ctx, c.origin, c.cache, log)
	if err != nil {
		return err
	}
	m, err := p.engine.Mount(ctx, c.spec(p.origin, mountpoint))
	if err != nil {
		return errors.Join(err, p.close())
	}
	r := newRecord(m, &c.mountOptions)
	if err := r.write(); err != nil {
		log.Warn("mount will be missing from list", slog.Any("error", err))
	}
	c.announce(log, m)
	serveUntilDone(ctx, m, log)
	r.remove()
	if c.ephemeral {
		if err := os.RemoveAll(filepath.Dir(c.upper)); err != nil {
			log.Warn("changes stay", slog.Any("error", err))
		}
	}
	if c.stats != "" {
		if err := writeStats(c.stats, m, p.store); err != nil {
			log.Warn("no statistics", slog.Any("error", err))
		}
	}
	return p.close()
}

// announce tells whoever waits that the mount can be used.
func (c *mountCommand) announce(log *slog.Logger, m *actors.Mount) {
	if c.readyFd < 0 || c.logFile != "" { // else our parent says it
		log.Info("mounted", slog.String("on", m.Mountpoint()), slog.String("origin", c.shows()),
			slog.String("commit", commitOf(m)), slog.String("upper", c.upper))
	}
	if c.readyFd < 0 {
		fmt.Printf("mounted %s on %s\nchanges go to %s\n", c.shows(), m.Mountpoint(), c.upper)
		return
	}
	c.terminal.leave()
	ready := os.NewFile(uintptr(c.readyFd), "ready")
	_, _ = ready.WriteString(readyWord)
	_ = ready.Close()
	leaveTerminal(c.logFile)
}

// commitOf returns what a mount shows, "" if it has no origin.
func commitOf(m *actors.Mount) string {
	if m.Commit().IsZero() {
		return ""
	}
	return m.Commit().String()
}

// serveUntilDone returns when the mount is gone. A signal unmounts it; if it is busy it goes on, and a further signal
// detaches it.
func serveUntilDone(ctx context.Context, m *actors.Mount, log *slog.Logger) {
	again := make(chan os.Signal, 1)
	select {
	case <-m.Done():
		return
	case <-ctx.Done():
		signal.Notify(again, unix.SIGINT, unix.SIGTERM)
	}
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

// exactArgs is cobra.ExactArgs with an error that names what is missing.
func exactArgs(n int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%w: %s takes %s, got %d arguments: see antares-actor %s --help", errUsage, cmd.Name(), names, len(args), cmd.Name())
		}
		return nil
	}
}
