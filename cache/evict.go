package cache

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// file is one object on disk as a scan finds it.
type file struct {
	id   object.ID
	ino  uint64
	size int64
	used int64 // when it was used last, Unix time in nanoseconds: see touch
}

// scan calls each for every object file, in no order. Files that come or go meanwhile are found or not.
func (d *disk) scan(each func(file) error) error {
	shards, err := os.ReadDir(d.objects)
	if err != nil {
		return err
	}
	for _, shard := range shards {
		if len(shard.Name()) != 2 || !shard.IsDir() {
			continue // somebody else's
		}
		if err := d.scanShard(shard.Name(), each); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *disk) scanShard(shard string, each func(file) error) error {
	dir, err := os.Open(filepath.Join(d.objects, shard))
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, err := object.Parse(shard + name)
		if err != nil {
			continue // somebody else's
		}
		f, err := lookAt(int(dir.Fd()), name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		f.id = id
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

func lookAt(dir int, name string) (file, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return file{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return file{}, fs.ErrNotExist
	}
	return file{ino: st.Ino, size: st.Size, used: st.Atim.Nano()}, nil
}

// oldest keeps those files that were used longest ago and together take at least want bytes: the last used one is on top.
type oldest struct {
	want, sum int64
	files     []file
}

func (o *oldest) Len() int           { return len(o.files) }
func (o *oldest) Less(i, j int) bool { return o.files[i].used > o.files[j].used }
func (o *oldest) Swap(i, j int)      { o.files[i], o.files[j] = o.files[j], o.files[i] }
func (o *oldest) Push(x any)         { o.files = append(o.files, x.(file)) }
func (o *oldest) Pop() any {
	last := o.files[len(o.files)-1]
	o.files = o.files[:len(o.files)-1]
	return last
}

func (o *oldest) offer(f file) {
	if o.sum >= o.want && f.used >= o.files[0].used {
		return
	}
	heap.Push(o, f)
	o.sum += occupied(f.size)
	for o.sum-occupied(o.files[0].size) >= o.want {
		o.sum -= occupied(heap.Pop(o).(file).size)
	}
}

// Collected is what a collection found and did. Bytes are those of the disk, in blocks of 4 KiB.
type Collected struct {
	Objects int   // there before
	Bytes   int64 // that they took
	Removed int   // objects
	Freed   int64 // bytes
}

// collect scans, and deletes the objects that were used longest ago, so many that what want says of all objects' bytes becomes
// free, but none that was used after before. The caller has the sweep's lock. A file that somebody has open, or copies from,
// stays readable there. When quit is closed it ends early, with os.ErrClosed.
func (d *disk) collect(quit <-chan struct{}, want func(total int64) int64, before time.Time) (c Collected, err error) {
	start, uncounted := d.usage.change(0, func(c count) count { return c }) // a full disk may not take the first count
	err = d.scan(func(f file) error {
		c.Objects++
		c.Bytes += occupied(f.size)
		return ended(quit)
	})
	if o := (&oldest{want: want(c.Bytes)}); err == nil && o.want > 0 {
		err = d.scan(func(f file) error {
			if f.used < before.UnixNano() {
				o.offer(f)
			}
			return ended(quit)
		})
		slices.SortFunc(o.files, func(a, b file) int { return cmp.Compare(a.used, b.used) })
		for _, f := range o.files {
			if err = errors.Join(err, ended(quit)); err != nil {
				break
			}
			if d.evict(f) {
				c.Removed++
				c.Freed += occupied(f.size)
			}
		}
	}
	if err != nil || uncounted != nil { // what is deleted by now is counted still, which the next scan finds
		return c, err
	}
	_, err = d.usage.change(0, func(now count) count { // what came during the scan counts on top, found by it or not
		return count{bytes: max(0, c.Bytes-c.Freed) + max(0, now.bytes-start.bytes), scanned: time.Now()}
	})
	return c, err
}

func ended(quit <-chan struct{}) error {
	select {
	case <-quit:
		return os.ErrClosed
	default:
		return nil
	}
}

// evict deletes a file, unless it was used or replaced since it was found.
func (d *disk) evict(f file) bool {
	path := d.path(f.id)
	now, err := lookAt(unix.AT_FDCWD, path)
	return err == nil && now.ino == f.ino && now.used == f.used && os.Remove(path) == nil
}

// sweeping runs f while no other Store or process collects in this directory. With unix.LOCK_NB it returns errBusy at once
// if another does.
func (d *disk) sweeping(flags int, f func() error) error {
	lock, err := os.Open(d.objects)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|flags); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return errBusy
		}
		return fmt.Errorf("lock %s: %w", d.objects, err)
	}
	return f()
}

var errBusy = errors.New("somebody else is collecting")

// touchAfter is how exactly the last use is known: noting it costs 5 us.
const touchAfter = time.Hour

// touch notes that a file was used now, if that was not noted lately. The note is the access time, whatever the mount's options
// say of it. It moves the change time, which makes trusts believe the file, so it is for those only that trusts believes.
func (d *disk) touch(f *os.File, info fs.FileInfo) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || time.Since(time.Unix(st.Atim.Unix())) < touchAfter || !d.trusts(info) {
		return
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_OMIT}}
	_ = unix.UtimesNanoAt(int(f.Fd()), "", times, unix.AT_EMPTY_PATH) // a failure makes it look older than it is
}
