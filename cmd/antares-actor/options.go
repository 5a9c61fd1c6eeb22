package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/remote"
)

// mountOptions are the flags that mount and run share.
type mountOptions struct {
	origin   string
	rev      string
	path     string
	follow   time.Duration // 0: never
	cl       actors.Changelist
	offline  bool
	lfs      bool
	upper    string
	work     string
	volatile bool
	fixed    bool
	eager    bool
	cache    string
	fetches  int
	cacheMax string // of cacheSize, as given
	verify   bool
	prefetch string
	warm     []string
	profile  string
	logLevel string
	logFile  string
	stats    string
	lowers   []string // dir:PATH, topmost first
	fsname   string

	alone     bool          // no keeper
	watchdog  time.Duration // see package keeper; 0 is off
	ephemeral bool          // upper is removed at the end
	cacheSize int64         // bytes; 0: no limit
	mapUID    []string
	mapGID    []string
	uids      []actors.IDRange // mapUID, parsed
	gids      []actors.IDRange
	over      bool
	kernel    actors.KernelOptions
}

func (o *mountOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.origin, "origin", "", "where the repository is: git:PATH[@REV] or http://HOST:PORT (default git:. without --lower)")
	f.StringArrayVar(&o.lowers, "lower", nil, "dir:PATH, a local directory above the origin, or alone; repeat it, topmost first")
	f.StringVar(&o.rev, "rev", "", "commit, tag or branch to mount (default the origin's head)")
	f.StringVar(&o.path, "path", "", "directory of the repository to mount (default all of it)")
	f.BoolVar(&o.lfs, "lfs", false, "show the files of Git LFS instead of the pointers to them")
	f.BoolVar(&o.offline, "offline", false, "never ask the origin: show what the cache has, and the commit that --rev stood for last")
	f.DurationVar(&o.follow, "follow", 0, "ask the origin so often whether the revision moved, and switch to it; without a time, each "+followTime.String())
	f.Lookup("follow").NoOptDefVal = followTime.String()
	f.StringVar(&o.cl.Link, "cl", "", "changelist to show on top of the commit")
	f.StringVar(&o.cl.Path, "cl-path", "", "directory of the repository that the changelist's paths are relative to (default the root)")
	f.StringVar(&o.upper, "upper", "", "directory that receives the changes (default a new one in the state directory)")
	f.StringVar(&o.work, "work", "", "work directory beside upper, on the same file system (default UPPER.work)")
	f.BoolVar(&o.volatile, "volatile", false, "do not wait for the disk; after a crash upper is refused")
	f.BoolVar(&o.eager, "copy-up-on-open", false, "copy files up when they are opened for writing, as overlayfs, not when they are changed")
	f.BoolVar(&o.fixed, "no-redirect", false, "refuse to rename directories that a lower layer has, as overlayfs with redirect_dir=off")
	f.StringVar(&o.cache, "cache", cacheDir(), "content cache, shared by all mounts of this user")
	f.StringVar(&o.prefetch, "prefetch", defaultPrefetch, "bytes that may be fetched ahead of their use, as 64MiB; off: none")
	f.StringArrayVar(&o.warm, "warm", nil, "fetch what matches PATTERN once it is mounted, behind what is asked for; a directory means all below it; repeat it")
	f.StringVar(&o.profile, "profile", "", "record what is read under this name, and fetch ahead what was read under it before")
	f.IntVar(&o.fetches, "fetches", defaultFetches, "how many requests may be under way at the origin at once")
	f.StringVar(&o.cacheMax, "cache-size", "", "delete what was used longest ago when the content cache takes more, such as 20GiB (default no limit)")
	f.BoolVar(&o.verify, "cache-verify", false, "hash large files of the content cache each time they are opened there")
	f.StringVar(&o.logLevel, "log-level", "info", "debug (each request), info, warn or error")
	f.StringVar(&o.logFile, "log-file", "", "append the log to this file (default standard error; with --detach, nowhere)")
	f.StringArrayVar(&o.mapUID, "map-uid", nil, "FROM:TO:COUNT, users FROM... of the layers show as TO...; repeat it for more")
	f.StringArrayVar(&o.mapGID, "map-gid", nil, "the same for groups")
	f.BoolVar(&o.ephemeral, "ephemeral", false, "remove the changes when the mount ends; not with --upper")
	f.BoolVar(&o.kernel.ReadOnly, "read-only", false, "refuse all changes")
	f.BoolVar(&o.kernel.NoExec, "noexec", false, "refuse to run programs")
	f.BoolVar(&o.kernel.Dev, "dev", false, "device nodes act (root only)")
	f.BoolVar(&o.kernel.Suid, "suid", false, "set-uid programs act (root only)")
	f.BoolVar(&o.kernel.NoAccessTimes, "noatime", false, "reading moves no access times (root only)")
	f.BoolVar(&o.kernel.StrictAccessTimes, "strictatime", false, "reading a file in upper moves its access time each time (root only); each open costs a request")
	f.BoolVar(&o.over, "over", false, "the mountpoint may hold files, or another mount, which the mount hides")
	f.StringVar(&o.fsname, "fsname", "", "source shown in the mount table (default the origin and commit)")
	f.BoolVar(&o.alone, "no-keeper", false, "one process less: if the server dies, so does the mount")
	f.DurationVar(&o.watchdog, "watchdog", defaultWatchdog, "start the server again if it makes no progress for so long; 0 is off")
	f.StringVar(&o.stats, "stats", "", "write the mount's numbers to this file when it ends (JSON)")
}

// defaultWatchdog is far above any pause of a server that works.
const defaultWatchdog = 30 * time.Second

// defaultFetches is what the HTTP driver keeps connections for.
const defaultFetches = 64

// followTime is how often --follow asks by default: a request each time, and two more when the revision moved.
const followTime = 30 * time.Second

// complete makes paths absolute, since a detached process has another working directory, and fills in defaults.
func (o *mountOptions) complete() error {
	if o.origin == "" && len(o.lowers) == 0 {
		o.origin = "git:."
	}
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
	for i, lower := range o.lowers {
		path, ok := strings.CutPrefix(lower, "dir:")
		abs, err := filepath.Abs(path)
		if !ok || path == "" || err != nil {
			return fmt.Errorf("%w: --lower %q: give dir:PATH", errUsage, lower)
		}
		o.lowers[i] = "dir:" + abs
	}
	var err error
	if o.cacheMax != "" {
		if o.cacheSize, err = parseSize("--cache-size", o.cacheMax); err != nil {
			return err
		}
	}
	if o.uids, err = parseRanges("--map-uid", o.mapUID); err != nil {
		return err
	}
	if o.gids, err = parseRanges("--map-gid", o.mapGID); err != nil {
		return err
	}
	if err := o.checkNumbers(); err != nil {
		return err
	}
	if o.follow < 0 {
		return fmt.Errorf("%w: --follow=%v: give a time", errUsage, o.follow)
	}
	if o.cl.Path != "" && o.cl.Link == "" {
		return fmt.Errorf("%w: --cl-path without --cl", errUsage)
	}
	o.path, o.cl.Path = strings.Trim(o.path, "/"), strings.Trim(o.cl.Path, "/")
	if o.upper == "" {
		o.upper = filepath.Join(stateDir(), "uppers", randomName(), "upper")
		o.ephemeral = o.ephemeral || o.kernel.ReadOnly
	}
	if err := o.absolute(); err != nil {
		return err
	}
	if o.ephemeral && filepath.Dir(filepath.Dir(o.upper)) != filepath.Join(stateDir(), "uppers") {
		return fmt.Errorf("%w: --ephemeral would remove --upper %s: give one of them", errUsage, o.upper)
	}
	return nil
}

// absolute makes paths absolute.
func (o *mountOptions) absolute() error {
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

// shows names the lower layers, for people: without a password.
func (o *mountOptions) shows() string {
	names := o.lowers
	if o.origin != "" {
		origin := o.origin
		if u, err := url.Parse(origin); err == nil && u.User != nil {
			origin = u.Redacted()
		}
		names = append(slices.Clone(names), origin)
	}
	return strings.Join(names, " over ")
}

// args are the flags that give a child the same options.
func (o *mountOptions) args() []string {
	args := []string{"--upper", o.upper, "--cache", o.cache, "--log-level", o.logLevel, "--watchdog", o.watchdog.String(), "--fetches", strconv.Itoa(o.fetches), "--prefetch", o.prefetch}
	for _, opt := range []struct{ flag, value string }{
		{"--origin", o.origin}, {"--rev", o.rev}, {"--path", o.path}, {"--work", o.work}, {"--log-file", o.logFile},
		{"--stats", o.stats}, {"--profile", o.profile}, {"--fsname", o.fsname}, {"--cache-size", o.cacheMax}, {"--cl", o.cl.Link}, {"--cl-path", o.cl.Path},
	} {
		if opt.value != "" {
			args = append(args, opt.flag, opt.value)
		}
	}
	if o.follow > 0 {
		args = append(args, "--follow="+o.follow.String())
	}
	for _, opt := range []struct {
		flag string
		on   bool
	}{
		{"--read-only", o.kernel.ReadOnly}, {"--noexec", o.kernel.NoExec}, {"--dev", o.kernel.Dev}, {"--suid", o.kernel.Suid},
		{"--noatime", o.kernel.NoAccessTimes}, {"--strictatime", o.kernel.StrictAccessTimes},
		{"--over", o.over}, {"--ephemeral", o.ephemeral}, {"--no-keeper", o.alone}, {"--volatile", o.volatile},
		{"--cache-verify", o.verify}, {"--no-redirect", o.fixed}, {"--copy-up-on-open", o.eager}, {"--offline", o.offline}, {"--lfs", o.lfs},
	} {
		if opt.on {
			args = append(args, opt.flag)
		}
	}
	for _, opt := range []struct {
		flag   string
		values []string
	}{{"--lower", o.lowers}, {"--warm", o.warm}, {"--map-uid", o.mapUID}, {"--map-gid", o.mapGID}} {
		for _, value := range opt.values {
			args = append(args, opt.flag, value)
		}
	}
	return args
}

func (o *mountOptions) spec(origin remote.Origin, mountpoint string) actors.MountSpec {
	budget, _ := o.prefetchBudget() // complete has looked at it
	lowers := make([]string, len(o.lowers))
	for i := range lowers {
		lowers[i] = strings.TrimPrefix(o.lowers[i], "dir:")
	}
	return actors.MountSpec{
		Origin: origin, Lowers: lowers, Rev: o.rev, Path: o.path, Changelist: o.cl, Follow: o.follow, Mountpoint: mountpoint, Upper: o.upper, Work: o.work, Volatile: o.volatile,
		UID: ownerIn(o.uids, os.Getuid()), GID: ownerIn(o.gids, os.Getgid()), Over: o.over, Kernel: o.kernel, FsName: o.fsname,
		UIDs: o.uids, GIDs: o.gids, Fixed: o.fixed, CopyUpOnOpen: o.eager, Fetches: o.fetches, Prefetch: budget, Profile: o.profile, LFS: o.lfs,
	}
}

// store is how the content cache is to be.
func (o *mountOptions) store() cache.Config {
	return cache.Config{Dir: o.cache, DiskBytes: o.cacheSize, Verify: o.verify}
}

// ownerIn returns whom the origin's files belong to: the caller, or if the caller does not show, the first one that does.
func ownerIn(ranges []actors.IDRange, caller int) uint32 {
	id := uint32(caller)
	if len(ranges) == 0 || slices.ContainsFunc(ranges, func(r actors.IDRange) bool { return id >= r.Layer && id-r.Layer < r.Count }) {
		return id
	}
	return ranges[0].Layer
}

// parseRanges reads FROM:TO:COUNT words. No id may have two meanings.
func parseRanges(flag string, words []string) (ranges []actors.IDRange, err error) {
	for _, word := range words {
		var r actors.IDRange
		for i, field := range [...]*uint32{&r.Layer, &r.Shown, &r.Count} {
			parts := strings.Split(word, ":")
			n, err := strconv.ParseUint(parts[min(i, len(parts)-1)], 10, 32)
			if err != nil || len(parts) != 3 {
				return nil, fmt.Errorf("%w: %s %q: give FROM:TO:COUNT, three numbers", errUsage, flag, word)
			}
			*field = uint32(n)
		}
		if r.Count == 0 || uint64(max(r.Layer, r.Shown))+uint64(r.Count) > math.MaxUint32 {
			return nil, fmt.Errorf("%w: %s %q: the range is empty, or goes beyond the largest id", errUsage, flag, word)
		}
		for _, other := range ranges {
			if overlap(r.Layer, other.Layer, r.Count, other.Count) || overlap(r.Shown, other.Shown, r.Count, other.Count) {
				return nil, fmt.Errorf("%w: %s %q overlaps another range", errUsage, flag, word)
			}
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

func overlap(a, b, countA, countB uint32) bool {
	return uint64(a) < uint64(b)+uint64(countB) && uint64(b) < uint64(a)+uint64(countA)
}

// randomName is a directory name that nobody else has.
func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
