package actors

import (
	"os"
	"strings"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// What a MountSpec comes to for the parts of a mount.

func (m *Mount) storeConfig() upper.Config {
	return upper.Config{
		Upper: m.spec.Upper, Work: m.spec.Work, Log: m.engine.cfg.Log, Volatile: m.spec.Volatile, AccessTimes: accessTimes(m.spec.Kernel),
	}
}

func (m *Mount) source() *source {
	return &source{
		origin: m.spec.Origin, content: m.content(), made: new(madeTrees), log: m.engine.cfg.Log, fetches: m.spec.Fetches,
		linger: m.engine.cfg.linger,
	}
}

// prefetchBudget is how many bytes a mount may fetch ahead.
func prefetchBudget(spec MountSpec) int64 {
	switch {
	case spec.Origin == nil || spec.Prefetch < 0:
		return 0
	case spec.Prefetch == 0:
		return DefaultPrefetch
	}
	return spec.Prefetch
}

// accessTimes are what a store in upper is to do. Reading a file system that is read-only moves none.
func accessTimes(o KernelOptions) upper.AccessTimes {
	if os.Geteuid() != 0 {
		return upper.AccessTimes{}
	}
	return upper.AccessTimes{None: o.NoAccessTimes || o.ReadOnly, Strict: o.StrictAccessTimes}
}

func attachOptions(spec MountSpec, at pinned, journal *tree.Journal) AttachOptions {
	o := AttachOptions{
		Mountpoint: spec.Mountpoint, FsName: fsName(spec, at), Kernel: spec.Kernel,
		UIDs: spec.UIDs, GIDs: spec.GIDs, CopyUpOnOpen: spec.CopyUpOnOpen, Journal: journal,
	}
	if spec.Session != nil {
		o.Keep = spec.Session.Keep
	}
	return o
}

// fsName is what the mount table shows as the source. Commas would end the option.
func fsName(spec MountSpec, at pinned) string {
	name := spec.FsName
	switch {
	case name != "":
	case spec.Origin == nil:
		name = spec.origin()
	default:
		name = spec.Origin.String() + "@" + at.commit.ID.String()[:12]
		if at.path != "" {
			name += ":" + at.path
		}
	}
	return strings.ReplaceAll(name, ",", ";")
}
