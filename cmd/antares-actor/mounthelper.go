package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/antares-actor/antares-actor/fusebridge"
)

// This file is what mount(8) calls for the type fuse.antares-actor: either /sbin/mount.fuse.antares-actor, a link to this
// program, with
//
//	SOURCE MOUNTPOINT [-sfnvw] [-N namespace] [-t type] [-o options]
//
// or this program by fuse3's mount.fuse, with
//
//	SOURCE MOUNTPOINT [-o options]
//
// The options are overlayfs's and fuse-overlayfs's.

// helperName is how the program is called as a mount helper.
const helperName = "mount.fuse.antares-actor"

// helperArgs tells whether the program was called as a mount helper, and with what.
func helperArgs(argv []string) ([]string, bool) {
	if filepath.Base(argv[0]) == helperName {
		return argv[1:], true
	}
	// mount.fuse gives the source and the mountpoint first, and options always. Of our command lines only "run PROGRAM -o" looks
	// like that.
	if len(argv) >= 5 && argv[3] == "-o" && argv[1] != "run" && !strings.HasPrefix(argv[1], "-") && filepath.IsAbs(argv[2]) {
		return argv[1:], true
	}
	return nil, false
}

// helperCall is one call as a mount helper.
type helperCall struct {
	mountOptions
	source, mountpoint string
	remount, fake      bool
	hasUpper           bool
	ignored            []string
}

// mountAsHelper mounts and returns when the mount can be used, as mount(8) expects of a helper.
func mountAsHelper(ctx context.Context, args []string) error {
	call, err := parseHelper(args)
	if err != nil {
		return err
	}
	for _, name := range call.ignored {
		fmt.Fprintf(os.Stderr, "antares-actor: mount option %s ignored: not known\n", name)
	}
	switch {
	case call.fake:
		return nil
	case call.remount:
		return fusebridge.Remount(call.mountpoint, call.kernel)
	}
	if !call.hasUpper { // as overlayfs: nothing can be changed
		call.kernel.ReadOnly = true
	}
	if err := call.complete(); err != nil {
		return err
	}
	_, err = startDetached(ctx, &call.mountOptions, call.mountpoint)
	return err
}

func parseHelper(args []string) (*helperCall, error) {
	call := &helperCall{mountOptions: mountOptions{cache: cacheDir(), logLevel: "info", watchdog: defaultWatchdog, fetches: defaultFetches, prefetch: defaultPrefetch, over: true}}
	// mount(8) passes nodev and nosuid on, but not dev and suid, which are its defaults.
	call.kernel.Dev, call.kernel.Suid = os.Geteuid() == 0, os.Geteuid() == 0
	var words []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case (arg == "-o" || arg == "-N" || arg == "-t") && i+1 == len(args):
			return nil, fmt.Errorf("%w: %s lacks its value", errUsage, arg)
		case arg == "-o":
			i++
			for _, option := range splitList(args[i], ',') {
				if err := call.option(option); err != nil {
					return nil, err
				}
			}
		case arg == "-N" || arg == "-t":
			i++
		case strings.HasPrefix(arg, "-"):
			call.fake = call.fake || strings.Contains(arg, "f")
		default:
			words = append(words, arg)
		}
	}
	if len(words) != 2 {
		return nil, fmt.Errorf("%w: %s takes SOURCE MOUNTPOINT [-o OPTIONS], got %d words", errUsage, helperName, len(words))
	}
	call.source = words[0]
	if call.fsname == "" {
		call.fsname = call.source
	}
	if len(call.lowers) == 0 && call.origin == "" && !call.remount {
		return nil, fmt.Errorf("%w: no lower layer: give -o lowerdir=DIR[:DIR...] or -o origin=ORIGIN", errUsage)
	}
	var err error
	call.mountpoint, err = filepath.Abs(words[1])
	return call, err
}

// quiet are options that mean nothing here, or hold anyway: mount(8)'s own, overlayfs's and fuse-overlayfs's.
var quiet = []string{
	"rw", "defaults", "exec", "async", "auto", "noauto", "nofail", "_netdev", "user", "users", "owner", "atime",
	"norelatime", "diratime", "nodiratime", "nostrictatime", "lazytime", "nolazytime",
	"allow_other", "allow_root", "default_permissions", "nonempty", "subtype", "index", "metacopy", "xino",
	"userxattr", "nfs_export", "uuid", "max_idle_threads", "max_threads", "threaded", "static_nlink", "noacl", "fast_ino",
}

// option applies one option.
func (c *helperCall) option(option string) error {
	name, value, _ := strings.Cut(option, "=")
	switch name {
	case "lowerdir":
		for _, dir := range splitList(value, ':') {
			if dir == "" {
				return fmt.Errorf("%w: lowerdir=%s has an empty name: overlayfs's data-only layers are not known", errUsage, value)
			}
			c.lowers = append(c.lowers, "dir:"+dir)
		}
	case "upperdir":
		c.upper, c.hasUpper = value, true
	case "nodev":
		c.kernel.Dev = false
	case "nosuid":
		c.kernel.Suid = false
	case "noatime", "strictatime", "relatime": // the last one counts
		root := os.Geteuid() == 0
		c.kernel.NoAccessTimes, c.kernel.StrictAccessTimes = root && name == "noatime", root && name == "strictatime"
	case "redirect_dir":
		c.fixed = value != "on"
	default:
		if !c.set(name, value) && !slices.Contains(quiet, name) && !strings.HasPrefix(name, "x-") && name != "" {
			c.ignored = append(c.ignored, option)
		}
	}
	return nil
}

// set applies an option that turns something on or names something; false if there is no such option.
func (c *helperCall) set(name, value string) bool {
	if on := map[string]*bool{
		"ro": &c.kernel.ReadOnly, "noexec": &c.kernel.NoExec, "suid": &c.kernel.Suid, "dev": &c.kernel.Dev,
		"volatile": &c.volatile, "lfs": &c.lfs, "copy_up_on_open": &c.eager, "offline": &c.offline, "no_keeper": &c.alone, "remount": &c.remount,
	}[name]; on != nil {
		*on = true
		return true
	}
	named := map[string]*string{
		"workdir": &c.work, "fsname": &c.fsname, "origin": &c.origin, "rev": &c.rev, "path": &c.path, "cache": &c.cache,
		"cache-size": &c.cacheMax, "log-file": &c.logFile, "log-level": &c.logLevel,
	}[name]
	if named != nil {
		*named = value
	}
	return named != nil
}

// splitList splits at a separator; a backslash makes it, or a backslash, part of the word.
func splitList(s string, separator byte) []string {
	words := []string{""}
	for i := 0; i < len(s); i++ {
		last := &words[len(words)-1]
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == separator || s[i+1] == '\\' || s[i+1] == ','):
			i++
			*last += s[i : i+1]
		case s[i] == separator:
			words = append(words, "")
		default:
			*last += s[i : i+1]
		}
	}
	return words
}
