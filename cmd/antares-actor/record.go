package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/fusebridge"
	"github.com/antares-actor/antares-actor/internal/keeper"
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
	PID        int    `json:"pid"`    // ends when the mount has ended: the keeper's, or without one the server's
	Engine     int    `json:"engine"` // serves
	Session    string `json:"session,omitempty"`
	Control    string `json:"control,omitempty"`  // the server's socket: package control
	Pause      int64  `json:"pause_us,omitempty"` // of the upgrade to this engine, in microseconds

	Refusals int    `json:"refused_upgrades,omitempty"`
	Refusal  string `json:"refused_upgrade,omitempty"` // why, the last time
}

// newRecord describes a mount. since is when the engine before was asked to hand over, if it was.
func newRecord(m *actors.Mount, o *mountOptions, since time.Time) record {
	var pause int64
	if !since.IsZero() {
		pause = time.Since(since).Microseconds()
	}
	return record{
		Session: actors.SessionVersion, Pause: pause,
		Mountpoint: m.Mountpoint(), Origin: o.shows(), Commit: commitOf(m), Path: o.path,
		Upper: o.upper, Work: m.Spec().Work, Cache: o.cache, PID: os.Getpid(), Engine: os.Getpid(),
	}
}

// alive tells whether the mount's processes are there. An engine may be without a keeper for a moment.
func (r record) alive() bool { return alive(r.PID) || alive(r.Engine) }

// recordDir is one for all users where that can be: /run/antares-actor for root, else the user's runtime directory.
func recordDir() string {
	if os.Geteuid() == 0 {
		return "/run/antares-actor"
	}
	return userDir("XDG_RUNTIME_DIR", ".local/state", os.TempDir())
}

// file is named by the mountpoint for people; the process number alone tells it from others.
func (r record) file() string {
	name := strings.ReplaceAll(strings.Trim(r.Mountpoint, "/"), "/", "-")
	return filepath.Join(recordDir(), name[:min(len(name), 200)]+fmt.Sprintf(".%d.json", r.PID)) // a name has 255 bytes at most
}

// write publishes the record: temp and rename, so that a reader never sees half of it.
func (r record) write() error {
	if err := os.MkdirAll(recordDir(), 0o755); err != nil {
		return err
	}
	r.sweep()
	return writeJSON(r.file(), r)
}

func readRecord(file string) (r record, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}

// sweep removes what killed servers left. Their process numbers come to others in time, which would then pass for them. While a
// dead mount is there its record stays: see detachDead.
func (r record) sweep() {
	files, _ := filepath.Glob(filepath.Join(recordDir(), "*.json"))
	for _, file := range files {
		other, err := readRecord(file)
		if err != nil || other.alive() {
			continue
		}
		if m, err := fusebridge.Find(other.Mountpoint); err != nil || m.Type != fusebridge.MountType || other.Mountpoint == r.Mountpoint {
			_ = os.Remove(file)
		}
	}
}

// socket is where the server with this process number listens.
func socket(engine int) string { return filepath.Join(recordDir(), fmt.Sprintf("%d.sock", engine)) }

// sweepSockets removes those of servers that were killed.
func sweepSockets() {
	files, _ := filepath.Glob(filepath.Join(recordDir(), "*.sock"))
	for _, file := range files {
		pid, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".sock"))
		if err == nil && !alive(pid) {
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
			if r, err := readRecord(file); err == nil && r.alive() {
				all[r.Mountpoint] = r
			}
		}
	}
	return all
}

// servedAt returns the record of a mount.
func servedAt(mountpoint string) (record, error) {
	m, err := fusebridge.Find(mountpoint)
	if err != nil {
		return record{}, err
	}
	r, known := records()[m.Mountpoint]
	if !known {
		return record{}, fmt.Errorf("%w: nobody is known to serve %s: is it another user's mount?", errUsage, mountpoint)
	}
	return r, nil
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
		waitForExit(ctx, r.Engine, endingTime)
	}
}

// detachDead takes dead mounts of this upper away whose servers were killed, wherever they are.
func detachDead(upper string, log *slog.Logger) {
	served := records()
	for _, dir := range []string{"/run/antares-actor", recordDir()} {
		files, _ := filepath.Glob(filepath.Join(dir, "*.json"))
		for _, file := range files {
			r, err := readRecord(file)
			if _, used := served[r.Mountpoint]; err != nil || used || r.Upper != upper || r.alive() {
				continue
			}
			if cleared, err := fusebridge.ClearDead(r.Mountpoint); cleared || err != nil {
				log.Info("took a dead mount away", slog.String("on", r.Mountpoint), slog.Any("error", err))
			}
		}
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

// printJSON is how commands print JSON.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err = os.WriteFile(tmp, append(b, '\n'), 0o644); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
	}
	return err
}

// published is the record of the mount that this process serves.
type published struct {
	mu     sync.Mutex // held to read and change what follows
	record *record    // nil: none
}

// write publishes the record. The mount lasts as long as its keeper, if it has one.
func (p *published) write(r record, link *keeper.Link) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if link != nil && link.Keeper() > 0 {
		r.PID = link.Keeper()
	}
	p.record = &r
	return r.write()
}

// keptBy publishes that there is another keeper.
func (p *published) keptBy(pid int, log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.record == nil {
		return
	}
	before := *p.record
	p.record.PID = pid
	if err := p.record.write(); err != nil {
		log.Warn("list has another keeper", slog.Any("error", err))
		return
	}
	if before.file() != p.record.file() {
		before.remove()
	}
}

// refused publishes why there was no upgrade.
func (p *published) refused(why string, log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.record == nil {
		return
	}
	p.record.Refusals++
	p.record.Refusal = why
	if err := p.record.write(); err != nil {
		log.Warn("refused upgrade not published", slog.Any("error", err))
	}
}

// shows publishes what the mount shows by now.
func (p *published) shows(commit string, log *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.record == nil {
		return
	}
	p.record.Commit = commit
	if err := p.record.write(); err != nil {
		log.Warn("list has another commit", slog.Any("error", err))
	}
}

func (p *published) remove() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.record != nil {
		p.record.remove()
		p.record = nil
	}
}
