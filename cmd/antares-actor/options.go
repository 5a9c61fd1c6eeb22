package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/remote"
)

// mountOptions are the flags that mount and run share.
type mountOptions struct {
	origin   string
	rev      string
	path     string
	upper    string
	work     string
	volatile bool
	cache    string
	logLevel string
	logFile  string
	stats    string
}

func (o *mountOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.origin, "origin", "git:.", "where the repository is: git:PATH[@REV] or http://HOST:PORT")
	f.StringVar(&o.rev, "rev", "", "commit, tag or branch to mount (default the origin's head)")
	f.StringVar(&o.path, "path", "", "directory of the repository to mount (default all of it)")
	f.StringVar(&o.upper, "upper", "", "directory that receives the changes (default a new one in the state directory)")
	f.StringVar(&o.work, "work", "", "work directory beside upper, on the same file system (default UPPER.work)")
	f.BoolVar(&o.volatile, "volatile", false, "do not wait for the disk; after a crash upper is refused")
	f.StringVar(&o.cache, "cache", cacheDir(), "content cache, shared by all mounts of this user")
	f.StringVar(&o.logLevel, "log-level", "info", "debug (each request), info, warn or error")
	f.StringVar(&o.logFile, "log-file", "", "append the log to this file (default standard error; with --detach, nowhere)")
	f.StringVar(&o.stats, "stats", "", "write the mount's numbers to this file when it ends (JSON)")
}

// complete makes paths absolute, since a detached process has another working directory, and fills in defaults.
func (o *mountOptions) complete() error {
	origin, rev := splitRev(o.origin)
	if rev != "" && o.rev != "" && rev != o.rev {
		return fmt.Errorf("%w: --origin names revision %s and --rev %s: give one", errUsage, rev, o.rev)
	}
	if rev != "" {
		o.rev = rev
	}
	o.origin = origin
	if path, ok := strings.CutPrefix(origin, "git:"); ok {
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		o.origin = "git:" + abs
	}
	o.path = strings.Trim(o.path, "/")
	if o.upper == "" {
		o.upper = filepath.Join(stateDir(), "uppers", randomName(), "upper")
	}
	for _, p := range []*string{&o.upper, &o.work, &o.cache, &o.logFile, &o.stats} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	return nil
}

// args are the flags that give a child the same options.
func (o *mountOptions) args() []string {
	args := []string{"--origin", o.origin, "--upper", o.upper, "--cache", o.cache, "--log-level", o.logLevel}
	for _, opt := range []struct{ flag, value string }{
		{"--rev", o.rev}, {"--path", o.path}, {"--work", o.work}, {"--log-file", o.logFile}, {"--stats", o.stats},
	} {
		if opt.value != "" {
			args = append(args, opt.flag, opt.value)
		}
	}
	if o.volatile {
		args = append(args, "--volatile")
	}
	return args
}

func (o *mountOptions) spec(origin remote.Origin, mountpoint string) actors.MountSpec {
	return actors.MountSpec{
		Origin: origin, Rev: o.rev, Path: o.path, Mountpoint: mountpoint, Upper: o.upper, Work: o.work, Volatile: o.volatile,
		UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
	}
}

// randomName is a directory name that nobody else has.
func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
