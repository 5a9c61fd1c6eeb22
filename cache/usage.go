package cache

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// usageSlack is how many bytes a Store puts before it adds them to the shared count, which costs 10 us.
	usageSlack = 1 << 20

	// block is what the file system gives out. A file of one byte takes one.
	block = 4096
)

// occupied is the space that a file of size bytes takes.
func occupied(size int64) int64 { return (size + block - 1) / block * block }

// usage counts the space that all objects of a directory take, for all Stores that share it: a line in a file, which each
// adds to. It is exact after a scan only. A Store that is killed takes with it what it had not added, and an object that two
// Stores put at once counts twice; so nothing is deleted because of this number, but a scan is made.
type usage struct {
	path    string
	pending atomic.Int64
	added   func(total int64) // told of the count, or a larger number; nil: nobody is
}

// count is the file's content.
type count struct {
	bytes   int64
	scanned time.Time // when the number was last exact; zero: never
}

func newUsage(dir string) *usage { return &usage{path: filepath.Join(dir, "usage")} }

// add counts bytes that came, or went. It does not wait for other Stores.
func (u *usage) add(n int64) {
	if p := u.pending.Add(n); -usageSlack < p && p < usageSlack {
		return
	}
	total, err := u.change(syscall.LOCK_NB, func(c count) count { return c })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		total.bytes, err = math.MaxInt64, nil // whoever is told looks himself, and waits; there may be no further add
	}
	if err == nil && u.added != nil {
		u.added(total.bytes)
	}
}

// change rewrites the line with what is pending and then what f makes of it.
func (u *usage) change(flags int, f func(count) count) (count, error) {
	file, err := os.OpenFile(u.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return count{}, err
	}
	defer file.Close()
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|flags); err != nil {
		return count{}, fmt.Errorf("lock %s: %w", u.path, err)
	}
	c, err := readCount(file)
	if err != nil {
		return count{}, err
	}
	p := u.pending.Swap(0)
	c.bytes = max(0, c.bytes+p)
	c = f(c)
	// One write of one length: a kill leaves the old line or the new one.
	if _, err := file.WriteAt(fmt.Appendf(nil, "%20d %20d\n", c.bytes, c.scanned.Unix()), 0); err != nil {
		u.pending.Add(p)
		return count{}, err
	}
	return c, nil
}

// readCount reads the line. One that makes no sense is as good as none: it was never exact.
func readCount(file *os.File) (count, error) {
	line := make([]byte, 64)
	n, err := file.ReadAt(line, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return count{}, err
	}
	var c count
	var at int64
	if _, err := fmt.Sscanf(string(line[:n]), "%d %d\n", &c.bytes, &at); err != nil || c.bytes < 0 || at <= 0 {
		return count{}, nil
	}
	c.scanned = time.Unix(at, 0)
	return c, nil
}
