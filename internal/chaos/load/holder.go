package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

// thing is something that a process holds, and that must stay what it is.
type thing interface {
	// hold takes it. The generation is a number that no earlier hold was given.
	hold(h *holder, generation int) error
	check(h *holder) error
	// drop lets go of it, also when hold failed half-way.
	drop()
}

// holder is the process that holds them.
type holder struct {
	w *worker.Worker
	r *rand.Rand
}

// Holder holds what has lost its name, mappings, a directory stream, a removed working directory and locks, and looks at them
// all the time.
func Holder(w *worker.Worker) error {
	h := &holder{w: w, r: rand.New(rand.NewPCG(w.Seed, 99))}
	debug.SetPanicOnFault(true) // a mapping whose mount went away
	if err := os.MkdirAll(h.path("holder"), 0o755); err != nil {
		return err
	}
	things := map[string]thing{
		"unlinked file": &nameless{}, "unlinked lower file": &nameless{from: "read", still: true}, "unlinked and written lower file": &nameless{from: "written"},
		"mapping": &mapping{}, "mapping of a lower file": &mapping{from: "mapped"}, "mapping of an unlinked file": &mapping{unlinked: true},
		"stream": &stream{}, "working directory": &workingDir{}, "locks": &locks{}, "moved directory": &movedDir{},
	}
	defer func() {
		for _, t := range things {
			t.drop()
		}
	}()
	generation := 0
	holding := make(map[string]bool)
	return rounds(w, func(int) error {
		for name, t := range things {
			begun := time.Now()
			what := t.check
			if !holding[name] {
				what = func(h *holder) error { return t.hold(h, generation) }
			}
			if err := guarded(func() error { return what(h) }); err != nil {
				if w.Away() { // all of it is lost
					generation++
					clear(holding)
					for _, t := range things {
						t.drop()
					}
				}
				return fmt.Errorf("%s: %w", name, err)
			}
			holding[name] = true
			w.Did(time.Since(begun))
		}
		return nil
	})
}

// guarded makes an error of a fault in a mapping.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return do()
}

func (h *holder) path(elem ...string) string {
	return filepath.Join(append([]string{h.w.Root}, elem...)...)
}

// own is a path for a generation.
func (h *holder) own(name string, generation int) string {
	return h.path("holder", fmt.Sprintf("%s-%d", name, generation))
}

// closeAll closes descriptors that may be none.
func closeAll(fds ...*int) {
	for _, fd := range fds {
		if *fd > 0 {
			_ = unix.Close(*fd)
		}
		*fd = 0
	}
}

// locks are a lock of each kind.
type locks struct {
	flocked, posix, ofd int
	rival               int // the process's other descriptor of the POSIX lock: closing it would give the lock up
	paths               [3]string
}

func (l *locks) hold(h *holder, generation int) (err error) {
	for i, fd := range []*int{&l.flocked, &l.posix, &l.ofd} {
		l.paths[i] = h.own(fmt.Sprint("lock", i), generation)
		if *fd, err = unix.Open(l.paths[i], unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o644); err != nil {
			return err
		}
	}
	if l.rival, err = unix.Open(l.paths[1], unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	return errors.Join(unix.Flock(l.flocked, unix.LOCK_EX|unix.LOCK_NB), setLock(l.posix, unix.F_SETLK), setLock(l.ofd, unix.F_OFD_SETLK))
}

func setLock(fd, how int) error {
	return unix.FcntlFlock(uintptr(fd), how, &unix.Flock_t{Type: unix.F_WRLCK, Start: 10, Len: 100})
}

var errTaken = errors.New("another one tries to take it, and does not get EAGAIN")

// check tries to take them by other descriptors.
func (l *locks) check(*holder) error {
	if err := setLock(l.rival, unix.F_OFD_SETLK); !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("a POSIX lock that is held: %w", errors.Join(err, errTaken))
	}
	for i, try := range map[int]func(fd int) error{
		0: func(fd int) error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) },
		2: func(fd int) error { return setLock(fd, unix.F_OFD_SETLK) },
	} {
		fd, err := unix.Open(l.paths[i], unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = try(fd)
		_ = unix.Close(fd)
		if !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("lock %d that is held: %w", i, errors.Join(err, errTaken))
		}
	}
	return nil
}

func (l *locks) drop() { closeAll(&l.flocked, &l.posix, &l.ofd, &l.rival) }
