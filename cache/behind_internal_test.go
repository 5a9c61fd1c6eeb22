package cache

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

// behindSteps runs a test of a writer with room for 10 bytes, in a time of its own. Objects are of 4 bytes, and named by one.
func behindSteps(t *testing.T, f func(w *behind, put func(...byte), written func() []byte)) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var done []byte
		w := newBehind(10, func(id object.ID, _ []byte) {
			mu.Lock()
			defer mu.Unlock()
			done = append(done, id[0])
		})
		defer w.close()
		put := func(names ...byte) {
			for _, n := range names {
				if !w.put(object.ID{n}, make([]byte, 4)) {
					t.Fatal("not taken")
				}
			}
		}
		f(w, put, func() []byte {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(done)
		})
	})
}

func TestSmallObjectsWaitForTheDisk(t *testing.T) {
	behindSteps(t, func(_ *behind, put func(...byte), written func() []byte) {
		put(1)
		time.Sleep(lag - 1)
		put(2)
		if got := written(); len(got) != 0 {
			t.Errorf("%v written before their time", got)
		}
		time.Sleep(time.Nanosecond)
		if got := written(); !slices.Equal(got, []byte{1}) {
			t.Errorf("%v written when the first one's time had come", got)
		}
		time.Sleep(lag)
		if got := written(); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("%v written in the end", got)
		}
	})
}

func TestTheWriterWakesUpForManyAtOnce(t *testing.T) {
	behindSteps(t, func(_ *behind, put func(...byte), written func() []byte) {
		put(1)
		time.Sleep(lag/2 - 1)
		put(2)
		time.Sleep(lag/2 + 1)
		if got := written(); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("%v written: the second one has waited for half the lag", got)
		}
	})
}

func TestNothingWaitsWhileTooMuchDoes(t *testing.T) {
	behindSteps(t, func(_ *behind, put func(...byte), written func() []byte) {
		put(1, 2)
		if got := written(); len(got) != 0 {
			t.Errorf("%v written: there is room", got)
		}
		put(3, 4)
		if got := written(); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("%v written: two of four have room", got)
		}
	})
}

func TestNothingWaitsWhileSomebodyWaitsForTheDisk(t *testing.T) {
	behindSteps(t, func(w *behind, put func(...byte), written func() []byte) {
		put(1, 2)
		w.sync()
		if got := written(); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("%v written by sync", got)
		}
		put(3)
		if got := written(); !slices.Equal(got, []byte{1, 2}) {
			t.Errorf("%v written: nobody waits any more", got)
		}
		w.close()
		if got := written(); !slices.Equal(got, []byte{1, 2, 3}) {
			t.Errorf("%v written by close", got)
		}
		if w.put(object.ID{4}, nil) {
			t.Error("taken after the end")
		}
	})
}
