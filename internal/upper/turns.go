package upper

import "sync"

// turns are for what puts a directory's times back, since it changed nothing that a user could see, and what changes them: a
// name that is made between the look at the times and their return would be one that the directory's time does not tell of.
// A directory has one of them by its number, so any two may share one.
type turns [64]sync.RWMutex

func (t *turns) of(ino uint64) *sync.RWMutex { return &t[ino%uint64(len(t))] }

// enter is called before names are changed in two directories, or in one given twice; leave after it.
func enter(a, b *File) (leave func()) {
	if a.turn == b.turn {
		a.turn.RLock()
		return a.turn.RUnlock
	}
	if n := uint64(len(turns{})); a.st.Ino%n > b.st.Ino%n { // in one order, since others may wait between the two
		a, b = b, a
	}
	a.turn.RLock()
	b.turn.RLock()
	return func() {
		b.turn.RUnlock()
		a.turn.RUnlock()
	}
}

// keepTimes changes names in a directory, which keeps its times. That they cannot be put back is no failure of the change.
func keepTimes(dir *File, change func() error) error {
	dir.turn.Lock()
	defer dir.turn.Unlock()
	was, err := dir.Stat()
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	_ = dir.setTimes(was.Atim, was.Mtim)
	return nil
}
