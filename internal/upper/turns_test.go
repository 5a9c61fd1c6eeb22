package upper_test

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// TestCommitsTakeNoTimeBack: a copy that is put into a directory leaves its times, but not those that a name gave it that was
// made, moved or removed meanwhile.
func TestCommitsTakeNoTimeBack(t *testing.T) {
	t.Parallel()
	f := newStore(t)
	dir := f.dir("dir")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- commitUntil(f, dir, stop) }()
	t.Cleanup(func() {
		close(stop)
		check(t, <-stopped)
	})
	for i := range 1000 {
		name, moved := fmt.Sprint("name", i), fmt.Sprint("moved", i)
		steps := []func() error{
			func() error {
				file, _, err := f.Create(dir, name, upper.Birth{Mode: unix.S_IFREG | 0o644})
				if err == nil {
					file.Release()
				}
				return err
			},
			func() error { return f.Rename(upper.Move{From: dir, OldName: name, To: dir, NewName: moved}) },
			func() error {
				return dir.Utimes(unix.Timespec{Nsec: unix.UTIME_OMIT}, unix.Timespec{Nsec: unix.UTIME_NOW})
			},
			func() error { return f.Unlink(dir, moved, false) },
		}
		for n, step := range steps {
			var before unix.Timespec
			check(t, unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &before)) // the kernel's time for files, or a little earlier
			check(t, step())
			st, err := dir.Stat()
			check(t, err)
			if st.Mtim.Nano() < before.Nano() {
				t.Fatalf("round %d, step %d: the directory's time is %d ns before the change", i, n, before.Nano()-st.Mtim.Nano())
			}
		}
	}
}

// commitUntil puts copies into the directory.
func commitUntil(f *fixture, dir *upper.File, stop <-chan struct{}) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		st, err := f.Stage(upper.Original{Birth: upper.Birth{Mode: unix.S_IFREG | 0o644}})
		if err != nil {
			return err
		}
		err = f.Commit(st, dir, fmt.Sprint("copy", i))
		st.File.Release()
		if err != nil {
			return err
		}
	}
}
