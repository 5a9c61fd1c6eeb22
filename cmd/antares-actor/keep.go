package main

import (
	"log/slog"
	"os"
	"os/signal"

	"github.com/antares-actor/antares-actor/internal/keeper"
)

// keep has an engine mount and serve, and holds for it what must not die with it. It returns when the mount has ended.
func (c *mountCommand) keep(mountpoint string) error {
	var t *terminal
	defer func() { t.back() }()
	return keepEngine(engineArgs("engine", &c.mountOptions, c.readyFd >= 0, mountpoint), &c.mountOptions, mountpoint, func(log *slog.Logger) {
		if c.logFile != "" {
			var err error
			if t, err = logTo(c.logFile); err != nil {
				log.Error("log goes to standard error", slog.Any("error", err))
			}
		}
		if c.readyFd >= 0 {
			t.leave()
			leaveTerminal(c.logFile)
			tellReady(c.readyFd)
		}
	})
}

// keepEngine is a keeper's life. ready is called when the mount can be used for the first time.
func keepEngine(engine []string, o *mountOptions, mountpoint string, ready func(*slog.Logger)) error {
	log, err := newLogger(o.logLevel)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, append(endSignals(), keeper.UpgradeSignal)...)
	defer signal.Stop(signals)
	status, err := keeper.Run(keeper.Config{
		Engine: engine, Watchdog: o.watchdog, Signals: signals, Ready: func() { ready(log) }, Log: log,
	})
	record{Mountpoint: mountpoint, PID: os.Getpid()}.remove() // an engine that died did not
	if err != nil || status == 0 {
		return err
	}
	return commandStatus(status) // the engine has said why
}

// engineArgs are the arguments that make this program the engine, or the keeper, of a mount.
func engineArgs(verb string, o *mountOptions, detached bool, mountpoint string) []string {
	args := append([]string{verb}, o.args()...)
	if detached {
		args = append(args, "--detached")
	}
	return append(args, "--", mountpoint)
}
