package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// The functions in this file are for a directory that other processes may use at the same time. They make nothing in it but
// the count; one that is not there gives fs.ErrNotExist, a git repository ErrRepository.

// Info describes a directory's disk tier.
type Info struct {
	Dir        string    `json:"dir"`
	Objects    int       `json:"objects"`
	Large      int       `json:"large"`      // objects above SmallMax
	Bytes      int64     `json:"bytes"`      // the objects' payloads
	Disk       int64     `json:"disk"`       // the space that they take, in bytes of whole blocks of 4 KiB
	Unfinished int64     `json:"unfinished"` // the space of what is being fetched, and of what the dead left
	Oldest     time.Time `json:"oldest"`     // last use of the object used longest ago; zero if there is none
	Newest     time.Time `json:"newest"`     // last use of the object used last
}

// Inspect scans a directory, and changes nothing in it.
func Inspect(dir string) (Info, error) {
	info := Info{Dir: dir}
	d, err := existing(dir)
	if err != nil {
		return info, err
	}
	var first, last int64
	err = d.scan(func(f file) error {
		if info.Objects == 0 {
			first = f.used
		}
		first, last = min(first, f.used), max(last, f.used)
		info.Objects++
		info.Bytes += f.size
		info.Disk += occupied(f.size)
		if f.size > SmallMax {
			info.Large++
		}
		return nil
	})
	if err != nil {
		return info, fmt.Errorf("inspect cache: %w", err)
	}
	if info.Objects > 0 {
		info.Oldest, info.Newest = time.Unix(0, first), time.Unix(0, last)
	}
	_ = filepath.WalkDir(filepath.Join(dir, "tmp"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // it has just been finished
		}
		if fi, err := e.Info(); err == nil {
			info.Unfinished += occupied(fi.Size())
		}
		return nil
	})
	return info, nil
}

// Collect removes what dead processes left unfinished, and deletes the objects that were used longest ago until the others
// take size bytes at most; -1 deletes none. It waits for others that collect.
func Collect(dir string, size int64) (c Collected, err error) {
	d, err := existing(dir)
	if err != nil {
		return c, err
	}
	if _, err := os.Stat(d.objects); err != nil {
		return c, fmt.Errorf("collect cache: %w", err)
	}
	sweepTemp(filepath.Join(dir, "tmp"))
	err = d.sweeping(0, func() error {
		c, err = d.collect(nil, func(total int64) int64 {
			if size < 0 {
				return 0
			}
			return total - size
		}, time.Now())
		return err
	})
	if err != nil {
		return c, fmt.Errorf("collect cache: %w", err)
	}
	return c, nil
}

// Verified is what Verify found.
type Verified struct {
	Objects int
	Bytes   int64
	Bad     []Bad
}

// Bad is an object that is damaged or cannot be read.
type Bad struct {
	ID      object.ID
	Size    int64
	Err     error // nil: the content is not the object
	Removed bool
}

// Verify hashes every object, as many at once as there are processors, and with repair deletes what is bad: it is fetched
// again. progress is called after each object, by one goroutine at a time.
func Verify(ctx context.Context, dir string, repair bool, progress func(size int64)) (v Verified, err error) {
	d, err := existing(dir)
	if err != nil {
		return v, err
	}
	if d.boot, err = bootTime(); err != nil {
		return v, err
	}
	var mu sync.Mutex // of v and progress
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	buffers := newBuffers()
	err = d.scan(func(f file) error {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			bad := d.check(f, repair, buffers)
			mu.Lock()
			defer mu.Unlock()
			v.Objects++
			v.Bytes += f.size
			if bad != nil {
				v.Bad = append(v.Bad, *bad)
			}
			progress(f.size)
			return nil
		})
		return ctx.Err()
	})
	err = errors.Join(group.Wait(), err)
	if repair && err == nil {
		_, err = d.usage.change(0, func(c count) count { return c })
	}
	if err != nil {
		return v, fmt.Errorf("verify cache: %w", err)
	}
	return v, nil
}

// check hashes an object; nil if it is right, or gone meanwhile.
func (d *disk) check(want file, repair bool, buffers buffers) *Bad {
	f, err := os.OpenFile(d.path(want.id), os.O_RDONLY|unix.O_NOATIME, 0) // checking is no use
	if errors.Is(err, fs.ErrPermission) {
		f, err = os.Open(d.path(want.id))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	bad := &Bad{ID: want.id, Size: want.size, Err: err}
	if err != nil {
		return bad
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		var right bool
		if right, err = holds(f, want.id, info.Size(), buffers); right {
			d.attest(f)
			return nil
		}
	}
	if bad.Err = err; repair && info != nil {
		bad.Removed = d.remove(want.id, info)
	}
	return bad
}

// attest is vouch, but no use.
func (d *disk) attest(f *os.File) {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_NOW}}
	_ = unix.UtimesNanoAt(int(f.Fd()), "", times, unix.AT_EMPTY_PATH)
}

// existing is a directory's disk tier for who puts nothing there.
func existing(dir string) (*disk, error) {
	return &disk{objects: filepath.Join(dir, "objects"), usage: newUsage(dir)}, refuseRepository(dir)
}

// holds tells whether a file's content is the object, of whatever kind.
func holds(f io.ReaderAt, id object.ID, size int64, buffers buffers) (bool, error) {
	for _, kind := range kinds() {
		sum, err := sumOf(f, kind, size, buffers)
		if err != nil || sum == id {
			return err == nil, err
		}
	}
	return false, nil
}
