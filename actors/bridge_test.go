package actors

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// fakeBridge is a kernel that sends nothing by itself: tests call the FS.
type fakeBridge struct {
	check    error                           // of Check
	attach   func(ctx context.Context) error // nil: succeed
	mu       sync.Mutex
	attached []*fakeConn
}

var _ Bridge = (*fakeBridge)(nil)

// Check implements Bridge.
func (b *fakeBridge) Check(string, bool) error { return b.check }

// Attach implements Bridge.
func (b *fakeBridge) Attach(ctx context.Context, fs *FS, _ AttachOptions) (Conn, error) {
	if b.attach != nil {
		if err := b.attach(ctx); err != nil {
			return nil, err
		}
	}
	c := &fakeConn{fs: fs, done: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attached = append(b.attached, c)
	return c, nil
}

// last returns the connection of the newest mount.
func (b *fakeBridge) last() *fakeConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.attached[len(b.attached)-1]
}

// fakeConn records what the kernel is told.
type fakeConn struct {
	fs   *FS
	done chan struct{}
	once sync.Once

	mu      sync.Mutex
	busy    error    // what Unmount refuses with
	told    []string // "entry PARENT NAME" and "inode INO"
	refused error    // what the notifications answer
	oldest  string   // what Oldest answers
	since   time.Time
}

var _ Conn = (*fakeConn)(nil)

// Release implements Conn.
func (c *fakeConn) Release() { c.once.Do(func() { close(c.done) }) }

// Resends implements Conn.
func (c *fakeConn) Resends() bool { return true }

// Oldest implements Conn.
func (c *fakeConn) Oldest() (string, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.oldest, c.since
}

// InvalidateEntry implements Notifier.
func (c *fakeConn) InvalidateEntry(parent uint64, name string) error {
	return c.tell(fmt.Sprintf("entry %d %s", parent, name))
}

// InvalidateInode implements Notifier.
func (c *fakeConn) InvalidateInode(ino uint64) error { return c.tell(fmt.Sprintf("inode %d", ino)) }

func (c *fakeConn) tell(what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, what)
	return c.refused
}

func (c *fakeConn) wasTold(what string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.told {
		if t == what {
			return true
		}
	}
	return false
}

func (c *fakeConn) setBusy(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = err
}

// Unmount implements Conn.
func (c *fakeConn) Unmount() error {
	c.mu.Lock()
	busy := c.busy
	c.mu.Unlock()
	if busy != nil {
		return busy
	}
	c.vanish()
	return nil
}

// vanish is an unmount, by whomever.
func (c *fakeConn) vanish() { c.once.Do(func() { close(c.done) }) }

// Done implements Conn.
func (c *fakeConn) Done() <-chan struct{} { return c.done }

// Counts implements Conn.
func (c *fakeConn) Counts() (requests, refused map[string]uint64) {
	return map[string]uint64{"LOOKUP": 3}, map[string]uint64{"LOOKUP EIO": 1}
}

var errBusy = fmt.Errorf("%w: held by sh (pid 1)", ErrBusy)
