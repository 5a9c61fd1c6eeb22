package main

import (
	"errors"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/control"
	"github.com/antares-actor/antares-actor/internal/upper"
	"github.com/antares-actor/antares-actor/remote"
)

// Exit codes are part of the interface: they are never renumbered.
const (
	exitInternal = 1
	exitConfig   = 2
	exitMount    = 3
	exitBind     = 4
)

var (
	errUsage = errors.New("bad input")
	errBind  = errors.New("cannot listen")
	errKept  = errors.New("mounted elsewhere")
	// errEnding is of a server that was not waited for.
	errEnding = errors.New("interrupted")
)

// commandStatus is how a command that "run" ran ended; "run" ends the same way and says nothing of its own.
type commandStatus int

func (commandStatus) Error() string { return "" }

// exitCodes maps errors to exit codes; the first match counts.
var exitCodes = []struct {
	err  error
	code int
}{
	{errBind, exitBind},
	{errUsage, exitConfig},
	{actors.ErrBadSpec, exitConfig},
	{actors.ErrNoPath, exitConfig},
	{actors.ErrNoChangelists, exitConfig},
	{changelist.ErrBadChange, exitConfig},
	{changelist.ErrConflict, exitConfig},
	{changelist.ErrNotInBase, exitConfig},
	{control.ErrRefused, exitConfig},
	{control.ErrFailed, exitMount},
	{control.ErrNobody, exitMount},
	{remote.ErrUnknownRev, exitConfig},
	{actors.ErrMount, exitMount},
	{actors.ErrBusy, exitMount},
	{errKept, exitMount},
	{errEnding, exitMount},
	{errNotUpgraded, exitMount},
	{actors.ErrNotTaken, exitMount},
	{actors.ErrUnmounted, exitMount},
	{actors.ErrOrigin, exitMount},
	{upper.ErrUnusable, exitMount},
	{upper.ErrInUse, exitMount},
	{remote.ErrUnavailable, exitMount},
	{remote.ErrBadAnswer, exitMount},
	{remote.ErrMismatch, exitMount},
	{remote.ErrNotFound, exitMount},
}

// remedies tell what to do about errors that come from too far below to know; the first match counts.
var remedies = []struct {
	err    error
	remedy string
}{
	{remote.ErrOffline, "mount it once without --offline, with this --cache"},
	{remote.ErrUnavailable, "is the server running, and --origin its address?"},
	{remote.ErrBadAnswer, "is --origin the address of a Mega server?"},
	{remote.ErrMismatch, "the origin is damaged: have it repaired, or give another --origin"},
	{remote.ErrNotFound, "the origin is incomplete: have it repaired, or give another --origin"},
}

func remedy(err error) string {
	for _, row := range remedies {
		if errors.Is(err, row.err) {
			return ": " + row.remedy
		}
	}
	return ""
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var status commandStatus
	if errors.As(err, &status) {
		return int(status)
	}
	if errors.As(err, new(fsckError)) {
		return fsckFailed
	}
	for _, row := range exitCodes {
		if errors.Is(err, row.err) {
			return row.code
		}
	}
	return exitInternal
}
