package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/antares-actor/antares-actor/fusebridge"
)

// roleVar tells a process of the harness what it is; the user's own has none.
const roleVar = "ANTARES_BENCH_ROLE"

// The roles. A runner's value is followed by ":" and the scratch directory.
const (
	roleRunner   = "runner"
	roleWorkload = "workload"
	roleServer   = "server"
	roleOrigin   = "origin"
	roleFloor    = "floor"
	roleMany     = "many"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	name, scratch := role()
	if err := dispatch(ctx, name, scratch); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop has run
	}
}

func dispatch(ctx context.Context, name, scratch string) error {
	switch name {
	case roleWorkload:
		return serveTask(os.Stdin, os.Stdout)
	case roleServer:
		return serveTree(os.Args[1:])
	case roleOrigin:
		return serveOrigin(os.Stdin, os.Stdout)
	case roleFloor:
		return serveFloor(os.Stdin, os.Stdout)
	case roleMany:
		return serveMany(os.Stdin, os.Stdout)
	case roleRunner:
		if err := fusebridge.LeaveAll(); err != nil {
			return err
		}
	}
	if len(os.Args) > 1 && os.Args[1] == "cold" {
		return dispatchCold(ctx, name, scratch, os.Args[2:])
	}
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if err != nil {
		return err
	}
	if name == roleRunner {
		return run(ctx, o, scratch)
	}
	return isolate(ctx, o.scratch)
}

func dispatchCold(ctx context.Context, name, scratch string, args []string) error {
	o, err := parseColdOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	if name == roleRunner {
		return runCold(ctx, o, scratch)
	}
	return isolate(ctx, o.scratch)
}
