package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// disk is the second tier: Dir/objects/ab/cdef… with one file an object. What is not atomic is immutable.
type disk struct {
	objects string
	tmp     string // what temp is in
	usage   *usage
	boot    time.Time     // files changed before it have to prove themselves again
	seq     atomic.Uint64 // names temp files
	closed  atomic.Bool   // takes no more objects

	mu   sync.Mutex // held by who looks for temp
	temp *tempDir   // protected by mu; nil: the disk was too full for it
}

func openDisk(dir string) (*disk, error) {
	if dir == "" {
		return nil, errors.New("no directory named")
	}
	objects := filepath.Join(dir, "objects")
	if err := os.MkdirAll(dir, 0o700); err != nil && !full(err) { // private: it holds source code
		return nil, err
	}
	if err := os.MkdirAll(objects, 0o755); err != nil && !full(err) {
		return nil, err
	}
	boot, err := bootTime()
	if err != nil {
		return nil, err
	}
	d := &disk{objects: objects, tmp: filepath.Join(dir, "tmp"), usage: newUsage(dir), boot: boot}
	if _, err := d.ownTemp(); err != nil && !full(err) {
		return nil, err
	}
	return d, nil
}

// refuseRepository returns ErrRepository for what has the marks by which git knows its own.
func refuseRepository(dir string) error {
	for _, mark := range []string{"HEAD", "refs"} {
		if _, err := os.Lstat(filepath.Join(dir, mark)); err != nil {
			return nil
		}
	}
	return fmt.Errorf("cache %s: %w", dir, ErrRepository)
}

// full tells whether an error is that of a disk without space.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// ownTemp returns the Store's directory for temp files. On a disk that is full there may be none yet.
func (d *disk) ownTemp() (*tempDir, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.temp == nil {
		temp, err := claimTemp(d.tmp)
		if err != nil {
			return nil, err
		}
		d.temp = temp
	}
	return d.temp, nil
}

// anotherTemp takes the place of a directory that is gone. One of the same name would be nobody's: what is locked is the old one.
func (d *disk) anotherTemp(gone *tempDir) (*tempDir, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed.Load() {
		return nil, os.ErrClosed
	}
	if d.temp != gone {
		return d.temp, nil // somebody else was first
	}
	if err := os.MkdirAll(filepath.Dir(d.tmp), 0o700); err != nil { // as openDisk
		return nil, err
	}
	temp, err := claimTemp(d.tmp)
	if err != nil {
		return nil, err
	}
	d.temp = temp
	return temp, gone.lock.Close()
}

func (d *disk) close() error {
	d.closed.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.temp == nil {
		return nil
	}
	return d.temp.release()
}

// bootTime is when this machine started, by today's clock.
func bootTime() (time.Time, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, fmt.Errorf("read the time since boot: %w", err)
	}
	return time.Now().Add(-time.Duration(up.Nano())), nil
}

func (d *disk) path(id object.ID) string {
	h := id.String()
	return filepath.Join(d.objects, h[:2], h[2:])
}

// open opens an object's file, of which nothing is known yet.
func (d *disk) open(id object.ID) (*os.File, fs.FileInfo, error) {
	f, err := os.Open(d.path(id))
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// trusts tells whether the file's size, and of a large object its content, may be believed without hashing.
func (d *disk) trusts(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Size() > 0 && time.Unix(st.Ctim.Unix()).After(d.boot)
}

// vouch records that a file was verified: trusts is true from now until the next boot. Failing costs another hashing.
func (d *disk) vouch(f *os.File) {
	now := unix.NsecToTimeval(time.Now().UnixNano())
	_ = unix.Futimes(int(f.Fd()), []unix.Timeval{now, now})
}

// has tells whether the object needs no writing.
func (d *disk) has(id object.ID) bool {
	info, err := os.Stat(d.path(id))
	return err == nil && d.trusts(info)
}

// create makes a temp file; publish or discard ends its life.
func (d *disk) create() (*os.File, error) {
	if d.closed.Load() {
		return nil, os.ErrClosed
	}
	temp, err := d.ownTemp()
	if err != nil {
		return nil, err
	}
	f, err := d.createIn(temp)
	if errors.Is(err, fs.ErrNotExist) { // someone emptied the cache under us
		if temp, err = d.anotherTemp(temp); err == nil {
			f, err = d.createIn(temp)
		}
	}
	return f, err
}

func (d *disk) createIn(temp *tempDir) (*os.File, error) {
	name := filepath.Join(temp.path, strconv.FormatUint(d.seq.Add(1), 36))
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o444)
}

// publish closes a complete and verified temp file and gives it its object's name.
func (d *disk) publish(f *os.File, id object.ID, size int64) error {
	if err := f.Close(); err != nil { // a full network disk may say so only here
		return err
	}
	return d.place(f.Name(), id, size)
}

func (d *disk) place(name string, id object.ID, size int64) error {
	path := d.path(id)
	err := os.Rename(name, path)
	if errors.Is(err, fs.ErrNotExist) { // the first object with this prefix
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.Rename(name, path)
		}
	}
	if err == nil {
		d.usage.add(occupied(size))
	}
	return err
}

// discard removes a temp file, unless it has been published.
func (d *disk) discard(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// write stores a verified payload.
func (d *disk) write(id object.ID, b []byte) error {
	f, err := d.create()
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		d.discard(f)
		return err
	}
	if err := d.publish(f, id, int64(len(b))); err != nil {
		d.discard(f)
		return err
	}
	return nil
}

// remove deletes an object's file if it still is the one that info describes, and not its replacement, and tells whether it
// did.
func (d *disk) remove(id object.ID, info fs.FileInfo) bool {
	now, err := os.Stat(d.path(id))
	if err != nil || !os.SameFile(now, info) || os.Remove(d.path(id)) != nil {
		return false
	}
	d.usage.add(-occupied(info.Size()))
	return true
}
