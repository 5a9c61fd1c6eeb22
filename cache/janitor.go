package cache

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// defaultFresh is how long an object stays at least, so that who waited for it can read it.
	defaultFresh = 10 * time.Second
	// emergencyFresh takes its place when an object has nowhere else to go.
	emergencyFresh = time.Second

	// lookEvery is how often a Store looks what others have added, and scanEvery how often somebody makes the count exact.
	lookEvery = time.Minute
	scanEvery = 24 * time.Hour
)

// janitor keeps the disk tier below its limit, beside those who put.
type janitor struct {
	s     *Store
	limit int64         // bytes; 0: none
	fresh time.Duration // see defaultFresh
	wake  chan struct{}
	quit  chan struct{}
	once  sync.Once
	done  sync.WaitGroup

	full   sync.Mutex   // held by who makes room on a full disk
	barren [2]time.Time // protected by full; when there was nothing to delete, by whether it was an emergency
}

func newJanitor(s *Store, limit int64, fresh time.Duration) *janitor {
	return &janitor{s: s, limit: limit, fresh: fresh, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (j *janitor) start() { j.done.Go(j.run) }

func (j *janitor) stop() {
	j.once.Do(func() { close(j.quit) })
	j.done.Wait()
}

// added is told of the count each time the Store adds to it.
func (j *janitor) added(total int64) {
	if j.limit > 0 && total > j.limit {
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
}

func (j *janitor) run() {
	next := time.NewTimer(0) // the count may be old, or the limit lower than the last one
	defer next.Stop()
	for {
		select {
		case <-j.quit:
			_, _ = j.s.disk.usage.change(unix.LOCK_NB, func(c count) count { return c })
			return
		case <-j.wake:
		case <-next.C:
		}
		wait := lookEvery
		if j.look() {
			wait = j.fresh
		}
		j.s.large.closeUnused(lookEvery)
		next.Reset(wait)
	}
}

// look collects if there is a reason to, and tells whether there still is one.
func (j *janitor) look() (again bool) {
	c, err := j.s.disk.usage.change(0, func(c count) count { return c })
	if err != nil {
		return false // as when the disk is full: whoever puts an object will say so
	}
	over := j.limit > 0 && c.bytes > j.limit
	if !over && time.Since(c.scanned) < scanEvery {
		return false
	}
	found, err := j.collect(unix.LOCK_NB, j.fresh, func(total int64) int64 {
		if j.limit == 0 || total <= j.limit {
			return 0
		}
		return total - j.limit/10*9
	})
	switch {
	case errors.Is(err, errBusy):
		return true // somebody makes the count exact, which it may not have been
	case errors.Is(err, os.ErrClosed):
		return over
	case errors.Is(err, fs.ErrNotExist): // somebody emptied the cache
		return false
	case err != nil:
		j.s.log.Warn("cache cannot be scanned for its size", "error", err)
		return false
	}
	if now, err := j.s.disk.usage.change(0, func(c count) count { return c }); err == nil {
		return j.limit > 0 && now.bytes > j.limit // with what came meanwhile, of which nobody else is told
	}
	return j.limit > 0 && found.Bytes-found.Freed > j.limit
}

// makeRoom deletes objects because writing failed with cause, if that is a full disk, and tells whether writing again may
// help. need is how many bytes are to come; in an emergency memory cannot take them.
func (j *janitor) makeRoom(cause error, need int64, emergency bool) bool {
	if !full(cause) {
		return false
	}
	age, barren := j.fresh, &j.barren[0]
	if emergency {
		age, barren = min(age, emergencyFresh), &j.barren[1]
	}
	j.full.Lock()
	defer j.full.Unlock()
	if time.Since(*barren) < age {
		return false // nothing has become old since
	}
	c, err := j.collect(0, age, func(total int64) int64 { return max(need, total/10) })
	if c.Freed == 0 {
		*barren = time.Now()
		return false
	}
	j.s.log.Info("cache disk is full; objects that were used longest ago were deleted", "objects", c.Removed, "bytes", c.Freed, "error", err)
	return true
}

func (j *janitor) collect(flags int, age time.Duration, want func(total int64) int64) (c Collected, err error) {
	err = j.s.disk.sweeping(flags, func() error {
		c, err = j.s.disk.collect(j.quit, want, time.Now().Add(-age))
		return err
	})
	j.s.counters.evicted.Add(uint64(c.Removed))
	j.s.counters.evictedBytes.Add(uint64(c.Freed))
	return c, err
}
