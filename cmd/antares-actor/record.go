package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/fusebridge"
)

// record is what "list" knows of a mount beside the kernel's mount table. It is a file for as long as the mount is served;
// one without a mount is left from a crash and means nothing.
type record struct {
	Mountpoint string `json:"mountpoint"`
	Origin     string `json:"origin"`
	Commit     string `json:"commit"`
	Path       string `json:"path,omitempty"`
	Upper      string `json:"upper"`
	Work       string `json:"work"`
	Cache      string `json:"cache"`
	PID        int    `json:"pid"`
}

func newRecord(m *actors.Mount, o *mountOptions) record {
	return record{
		Mountpoint: m.Mountpoint(), Origin: o.shows(), Commit: commitOf(m), Path: o.path,
		Upper: o.upper, Work: m.Spec().Work, Cache: o.cache, PID: os.Getpid(),
	}
}

// recordDir is one for all users where that can be: /run/antares-actor for root, else the user's runtime directory.
func recordDir() string {
	if os.Geteuid() == 0 {
		return "/run/antares-actor"
	}
	return userDir("XDG_RUNTIME_DIR", ".local/state", os.TempDir())
}

func (r record) file() string {
	return filepath.Join(recordDir(), strings.ReplaceAll(strings.Trim(r.Mountpoint, "/"), "/", "-")+fmt.Sprintf(".%d.json", r.PID))
}

// write publishes the record: temp and rename, so that a reader never sees half of it.
func (r record) write() error {
	if err := os.MkdirAll(recordDir(), 0o755); err != nil {
		return err
	}
	sweepRecords()
	return writeJSON(r.file(), r)
}

// sweepRecords removes what killed servers left. Their process numbers come to others in time, which would then pass for them.
func sweepRecords() {
	files, _ := filepath.Glob(filepath.Join(recordDir(), "*.json"))
	for _, file := range files {
		var r record
		if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &r) == nil && !alive(r.PID) {
			_ = os.Remove(file)
		}
	}
}

func (r record) remove() { _ = os.Remove(r.file()) }

// records returns the records of this user, or of root, by mountpoint. Files that are not records are passed over.
func records() map[string]record {
	all := make(map[string]record)
	for _, dir := range []string{"/run/antares-actor", recordDir()} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
		for _, file := range files {
			var r record
			if b, err := os.ReadFile(file); err == nil && json.Unmarshal(b, &r) == nil && alive(r.PID) {
				all[r.Mountpoint] = r
			}
		}
	}
	return all
}

// endingTime is how long a server may take to end after its unmount. One that was detached while in use takes longer.
const endingTime = 10 * time.Second

// waitForEnding returns when no server that is no longer mounted holds this upper: whoever unmounts by umount(8) and mounts
// again does not know that it has not ended yet.
func waitForEnding(ctx context.Context, upper string) {
	for _, r := range records() {
		if r.Upper != upper {
			continue
		}
		if m, err := fusebridge.Find(r.Mountpoint); err == nil && m.Type == fusebridge.MountType {
			continue // in use
		}
		waitForExit(ctx, r.PID, endingTime)
	}
}

// alive tells whether a process runs. One that has ended and is not reaped yet does not, though /proc shows it.
func alive(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err != nil || n == 0
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// statistics are what --stats writes.
type statistics struct {
	Commit         string            `json:"commit"`
	OriginRequests uint64            `json:"origin_requests"`
	OriginBytes    uint64            `json:"origin_bytes"`
	Requests       map[string]uint64 `json:"requests"`
	Errors         map[string]uint64 `json:"errors"`
	Inodes         int               `json:"inodes"`
	Cache          cache.Stats       `json:"cache"`
}

func writeStats(path string, m *actors.Mount, store *cache.Store) error {
	s := m.Stats()
	return writeJSON(path, statistics{
		Commit: commitOf(m), OriginRequests: s.Origin.Requests, OriginBytes: s.Origin.Bytes,
		Requests: s.Requests, Errors: s.Errors, Inodes: s.Inodes, Cache: store.Stats(),
	})
}
