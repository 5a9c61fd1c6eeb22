package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/fusebridge"
	"github.com/antares-actor/antares-actor/remote/mega"
)

// manyTask is what a build worker's process does: mounts of one commit, in one engine.
type manyTask struct {
	Origin string
	Dir    string // scratch
	Mounts int
}

func (t manyTask) mountpoint(i int) string { return filepath.Join(t.Dir, fmt.Sprintf("mnt%02d", i)) }

// manyAnswer is what that process says of itself.
type manyAnswer struct {
	Resident int64  // bytes
	Hedged   uint64 // requests that asked once more for what was late
}

// serveMany is the main function of that process. It makes a mount for each line "mount", answers each line, and takes
// everything down when its input ends.
func serveMany(in io.Reader, out io.Writer) (err error) {
	ctx, lines, answers := context.Background(), bufio.NewScanner(in), json.NewEncoder(out)
	var t manyTask
	if !lines.Scan() {
		return errors.Join(errors.New("no task"), lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	var u undo
	defer func() { err = errors.Join(err, u.run()) }()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	origin, err := mega.Open(mega.Config{BaseURL: t.Origin, Log: log})
	if err != nil {
		return err
	}
	u.add(origin.Close)
	store, err := cache.Open(cache.Config{Dir: filepath.Join(t.Dir, "cache"), Log: log})
	if err != nil {
		return err
	}
	u.add(store.Close)
	engine, err := actors.NewEngine(actors.Config{Content: store, Bridge: fusebridge.New(log), Log: log})
	if err != nil {
		return err
	}
	u.add(func() error { return engine.Close(ctx) })
	for made := 0; lines.Scan(); {
		if lines.Text() == "mount" {
			mnt := t.mountpoint(made)
			if err := os.MkdirAll(mnt, 0o755); err != nil {
				return err
			}
			if _, err := engine.Mount(ctx, actors.MountSpec{Origin: origin, Mountpoint: mnt, Upper: mnt + ".upper"}); err != nil {
				return err
			}
			made++
		}
		if err := answers.Encode(manyAnswer{Resident: resident(), Hedged: origin.Counts().Hedged}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// resident is this process's resident set in bytes, without what is garbage.
func resident() int64 {
	debug.FreeOSMemory()
	var kib int64
	_, _ = fmt.Sscan(strings.TrimSuffix(procField("/proc/self/status", "VmRSS"), " kB"), &kib)
	return kib << 10
}

func coldMounts(ctx context.Context, t *turn) error {
	one, err := t.readMounts(ctx, 1)
	if err != nil {
		return err
	}
	mounts := t.size().Mounts
	all, err := t.readMounts(ctx, mounts)
	if err != nil {
		return err
	}
	further := float64(mounts - 1)
	t.note("objects asked for again", float64(all.repeated))
	t.note(hedged, float64(all.hedged))
	t.note("memory a further mount, unread", (all.unread-one.unread)/further)
	t.note("memory a further mount, read", (all.read-one.read)/further)
	t.note("time of the slowest", all.seconds)
	t.against("time of the slowest", one.seconds)
	return nil
}

// manyOutcome is what an engine with some mounts needed: MiB after they were made and after they were read, the time of the
// slowest reader, and the requests that came twice, as the server saw it and as the client meant it.
type manyOutcome struct {
	unread, read, seconds float64
	repeated              int
	hedged                uint64
}

// readMounts makes the mounts in a new engine, and reads all files in all of them at once.
func (t *turn) readMounts(ctx context.Context, mounts int) (m manyOutcome, err error) {
	s, err := t.site("small")
	if err != nil {
		return m, err
	}
	if _, err := t.tally(ctx, "small", 0); err != nil {
		return m, err
	}
	cmd, in, out, err := startSelf(roleMany)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, in.Close(), cmd.Wait()) }()
	task := manyTask{Origin: s.origin, Dir: s.own, Mounts: mounts}
	if err := json.NewEncoder(in).Encode(task); err != nil {
		return m, err
	}
	answers := json.NewDecoder(out)
	say := func(line string) (mib float64, err error) {
		var a manyAnswer
		if _, err = fmt.Fprintln(in, line); err == nil {
			err = answers.Decode(&a)
		}
		m.hedged = a.Hedged
		return float64(a.Resident) / (1 << 20), err
	}
	for range mounts {
		if m.unread, err = say("mount"); err != nil {
			return m, err
		}
	}
	if m.seconds, err = t.readAll(ctx, task); err != nil {
		return m, err
	}
	if m.read, err = say("memory"); err != nil {
		return m, err
	}
	got, err := t.tally(ctx, "small", t.trip)
	m.repeated = got.Repeated
	return m, err
}

// readAll reads all mounts at once and returns the time of the slowest.
func (t *turn) readAll(ctx context.Context, task manyTask) (float64, error) {
	var wg sync.WaitGroup
	times, errs := make([]float64, task.Mounts), make([]error, task.Mounts)
	for i := range task.Mounts {
		wg.Go(func() { times[i], _, errs[i] = t.shell(ctx, task.mountpoint(i), "tar cf - . | cat >/dev/null") })
	}
	wg.Wait()
	return slices.Max(times), errors.Join(errs...)
}
