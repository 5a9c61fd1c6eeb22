package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/fusebridge"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
	"github.com/antares-actor/antares-actor/remote/mega"
)

// This file is the only place where concrete parts are chosen and put together.

// parts are what a process that serves mounts is made of.
type parts struct {
	origin remote.Origin
	store  *cache.Store
	engine *actors.Engine
}

// assemble builds them; close undoes it.
func assemble(ctx context.Context, o *mountOptions, log *slog.Logger) (_ *parts, err error) {
	p := new(parts)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if o.origin != "" {
		if p.origin, err = openOrigin(ctx, o.origin, log); err != nil {
			return nil, err
		}
		pins := remote.NewPins(filepath.Join(o.cache, "pins"))
		if o.offline {
			p.origin = remote.Offline(p.origin, pins)
		} else {
			p.origin = remote.Recorded(p.origin, pins, log)
		}
	}
	store := o.store()
	store.Log = log
	if p.store, err = cache.Open(store); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	p.engine, err = actors.NewEngine(actors.Config{Content: p.store, Bridge: fusebridge.New(log), Log: log, Fetches: o.fetches, Profiles: filepath.Join(o.cache, "profiles")})
	return p, err
}

func (p *parts) close() error {
	var errs []error
	if p.engine != nil {
		errs = append(errs, p.engine.Close(context.Background()))
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.origin != nil {
		errs = append(errs, p.origin.Close())
	}
	return errors.Join(errs...)
}

// openOrigin opens "git:PATH" or "http://HOST:PORT".
func openOrigin(ctx context.Context, spec string, log *slog.Logger) (remote.Origin, error) {
	if path, ok := strings.CutPrefix(spec, "git:"); ok {
		repo, err := gitrepo.Open(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		return repo, nil
	}
	if strings.HasPrefix(spec, "http://") || strings.HasPrefix(spec, "https://") {
		client, err := mega.Open(mega.Config{BaseURL: spec, Token: os.Getenv("ANTARES_TOKEN"), Log: log})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		return client, nil
	}
	return nil, fmt.Errorf("%w: --origin %q: give git:PATH[@REV] or http://HOST:PORT", errUsage, spec)
}

// splitRev takes the revision off "git:PATH@REV". A path that exists as it stands has none: directories may have an @.
func splitRev(origin string) (string, string) {
	path, ok := strings.CutPrefix(origin, "git:")
	if !ok {
		return origin, ""
	}
	if _, err := os.Stat(path); err == nil {
		return origin, ""
	}
	if i := strings.LastIndexByte(path, '@'); i >= 0 {
		return "git:" + path[:i], path[i+1:]
	}
	return origin, ""
}

// userDir returns a directory of the user's for our files: env names the XDG variable, fallback the place below the home
// directory, system the place of a daemon without one.
func userDir(env, fallback, system string) string {
	if dir := os.Getenv(env); filepath.IsAbs(dir) {
		return filepath.Join(dir, "antares-actor")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, fallback, "antares-actor")
	}
	return filepath.Join(system, "antares-actor")
}

func cacheDir() string { return userDir("XDG_CACHE_HOME", ".cache", "/var/cache") }
func stateDir() string { return userDir("XDG_STATE_HOME", ".local/state", "/var/lib") }

// newLogger returns the process's logger. Results go to standard output, the log to standard error.
func newLogger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("%w: --log-level %q: give debug, info, warn or error", errUsage, level)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l})), nil
}
