package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// tempDir is a Store's own directory for unfinished files. Its owner holds it flocked for as long as it lives.
type tempDir struct {
	path string
	lock *os.File
}

// claimTemp makes a temp directory below parent, after it has removed those whose owners died.
//
// Race considered: between our Mkdir and our Flock another process may take the lock, believe the directory abandoned and
// remove it. Then our Flock waits for it, succeeds on a directory without a name, and the comparison finds that out.
func claimTemp(parent string) (*tempDir, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, err
	}
	sweepTemp(parent)
	for range 100 {
		path, err := os.MkdirTemp(parent, "store-")
		if err != nil {
			return nil, err
		}
		lock, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), lock.Close())
		}
		if named(lock, path) {
			return &tempDir{path: path, lock: lock}, nil
		}
		_ = lock.Close()
	}
	return nil, fmt.Errorf("%s: new directories vanish at once", parent)
}

// named tells whether path still leads to the open directory.
func named(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// sweepTemp removes the temp directories that nobody holds. What it cannot remove, a later Open will try again.
func sweepTemp(parent string) {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path) // still locked, so that its maker cannot believe it has it
		}
		_ = f.Close()
	}
}

// release removes the directory with whatever is in it.
func (t *tempDir) release() error {
	return errors.Join(os.RemoveAll(t.path), t.lock.Close())
}
