package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	shortest = 50 * time.Millisecond // between two kills
	longest  = 500 * time.Millisecond
	hang     = 5 * time.Second // of mode stop
	comeback = 60 * time.Second
	poll     = 20 * time.Millisecond
)

// victims are the processes that serve the mount.
type victims struct {
	Mountpoint string `json:"mountpoint"`
	Keeper     int    `json:"pid"`
	Engine     int    `json:"engine"` // 0: the keeper is the engine, too
}

// killer kills.
type killer struct {
	s     *stage
	r     *rand.Rand
	kills int
	slow  time.Duration // the longest that it took until there was another engine
}

func newKiller(s *stage) *killer {
	return &killer{s: s, r: rand.New(rand.NewPCG(s.o.seed, 7))}
}

// find asks the program who serves the mount.
func (k *killer) find(ctx context.Context) (victims, error) {
	out, err := k.s.command(ctx, k.s.program, "list", "--json")
	if err != nil {
		return victims{}, err
	}
	var all []victims
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return victims{}, fmt.Errorf("list: %w", err)
	}
	for _, v := range all {
		if v.Mountpoint == k.s.point {
			if v.Engine == 0 {
				v.Engine = v.Keeper
			}
			return v, nil
		}
	}
	return victims{}, fmt.Errorf("list does not show %s", k.s.point)
}

// wait waits until both run, and those of before do not any more that were killed.
func (k *killer) wait(ctx context.Context, not func(victims) bool) (victims, error) {
	begun := time.Now()
	for {
		v, err := k.find(ctx)
		if err == nil && !not(v) && k.runs(v.Engine) && k.runs(v.Keeper) {
			k.slow = max(k.slow, time.Since(begun))
			return v, nil
		}
		if time.Since(begun) > comeback {
			return v, fmt.Errorf("no engine after %v: list says %+v: %w", comeback, v, errors.Join(err, errHang))
		}
		if err := pause(ctx, poll); err != nil {
			return v, err
		}
	}
}

// runs tells whether a process is one of the program, and runs.
func (k *killer) runs(pid int) bool {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && filepath.Clean(exe) == k.s.program
}

// strike kills or stops once, and returns when there are an engine and a keeper again.
func (k *killer) strike(ctx context.Context) error {
	if err := pause(ctx, shortest+time.Duration(k.r.Int64N(int64(longest-shortest)))); err != nil {
		return err
	}
	v, err := k.wait(ctx, func(victims) bool { return false })
	if err != nil {
		return err
	}
	k.kills++
	switch k.s.o.mode {
	case modeKill:
		if err := kill(v.Engine, unix.SIGKILL); err != nil {
			return err
		}
		_, err = k.wait(ctx, func(now victims) bool { return now.Engine == v.Engine })
	case modeKeeper:
		if err := kill(v.Keeper, unix.SIGKILL); err != nil {
			return err
		}
		_, err = k.wait(ctx, func(now victims) bool { return now.Keeper == v.Keeper })
	case modeStop:
		if err := kill(v.Engine, unix.SIGSTOP); err != nil {
			return err
		}
		err = pause(ctx, hang)
		if cont := kill(v.Engine, unix.SIGCONT); cont != nil && !errors.Is(cont, unix.ESRCH) { // it may have been replaced
			return cont
		}
	case modeBoth: // each would start the other one again
		if err = kill(v.Engine, unix.SIGSTOP); err == nil {
			err = kill(v.Keeper, unix.SIGKILL)
		}
		if err == nil {
			err = kill(v.Engine, unix.SIGKILL)
		}
	}
	return err
}

func kill(pid int, sig unix.Signal) error {
	if err := unix.Kill(pid, sig); err != nil {
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	return nil
}

// pause waits, but not for longer than the run lasts.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
