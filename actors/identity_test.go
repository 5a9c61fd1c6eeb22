package actors

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// asking calls f with a caller that is a thread of this user. f itself runs as the test does: the server's work is done by it.
func asking(t *testing.T, u testfs.User, f func(who Caller)) {
	t.Helper()
	thread, release, outcome := make(chan int, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		outcome <- testfs.As(u, func() error {
			thread <- unix.Gettid()
			<-release
			return nil
		})
	}()
	defer func() {
		close(release)
		check(t, <-outcome)
	}()
	select {
	case tid := <-thread:
		f(Caller{PID: uint32(tid)})
	case err := <-outcome:
		outcome <- err
	}
}

func TestMember(t *testing.T) {
	for _, tt := range []struct {
		user testfs.User
		want bool
	}{
		{testfs.User{}, true}, // by its capability
		{testfs.User{UID: 5, GID: 70}, true},
		{testfs.User{UID: 5, GID: 5, Groups: []uint32{6, 70}}, true},
		{testfs.User{UID: 70, GID: 5, Groups: []uint32{6, 7}}, false},
		{testfs.User{UID: 5, GID: 7}, false},
	} {
		asking(t, tt.user, func(who Caller) {
			if got := who.member(70); got != tt.want {
				t.Errorf("%+v is a member of group 70: %v", tt.user, got)
			}
		})
	}
	asking(t, testfs.User{UID: 5, GID: 1070}, func(who Caller) {
		who.GIDs = []IDRange{{Layer: 0, Shown: 1000, Count: 100}}
		if !who.member(70) || who.member(71) || who.maySetID() {
			t.Error("groups are compared as layers have them")
		}
	})
	if nobodyWaits.member(70) || (Caller{PID: 1 << 30}).member(0) {
		t.Error("who cannot be seen is a member")
	}
}

func TestMayWrite(t *testing.T) {
	for _, tt := range []struct {
		user   testfs.User
		mode   uint32
		listed bool
		want   bool
	}{
		{testfs.User{}, 0o4000, false, true},
		{testfs.User{UID: 50, GID: 5}, 0o4000, false, true},
		{testfs.User{UID: 5, GID: 70}, 0o4755, false, false},
		{testfs.User{UID: 5, GID: 70}, 0o4775, false, true},
		{testfs.User{UID: 5, GID: 70}, 0o4757, false, false},
		{testfs.User{UID: 5, GID: 5, Groups: []uint32{70}}, 0o4775, false, true},
		{testfs.User{UID: 5, GID: 5}, 0o4775, false, false},
		{testfs.User{UID: 5, GID: 5}, 0o4757, false, true},
		{testfs.User{UID: 5, GID: 5}, 0o4775, true, true},
		{testfs.User{UID: 5, GID: 5}, 0o4755, true, false},
	} {
		asking(t, tt.user, func(who Caller) {
			if got := who.mayWrite(&unix.Stat_t{Uid: 50, Gid: 70, Mode: tt.mode}, tt.listed); got != tt.want {
				t.Errorf("%+v may write to a file of 50:70 with mode %o (listed: %v): %v", tt.user, tt.mode, tt.listed, got)
			}
		})
	}
	asking(t, testfs.User{UID: 1050, GID: 5}, func(who Caller) {
		who.UIDs = []IDRange{{Layer: 0, Shown: 1000, Count: 100}}
		if !who.mayWrite(&unix.Stat_t{Uid: 50, Mode: 0o4755}, false) || who.mayWrite(&unix.Stat_t{Uid: 51, Mode: 0o4755}, false) {
			t.Error("users are compared as layers have them")
		}
	})
	if !nobodyWaits.mayWrite(&unix.Stat_t{Uid: 50}, false) {
		t.Error("who cannot be seen may not")
	}
}

// A change of nothing comes before a write, and takes from a file what the write would.
func TestAChangeOfNothingDropsSetID(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		user testfs.User
		want uint32
	}{
		{testfs.User{UID: 5, GID: 70}, 0o2767}, // in the group
		{testfs.User{UID: 5, GID: 5}, 0o767},
		{testfs.User{}, 0o2767},
	} {
		_ = r.remove("f", false)
		check(t, r.make("f", upper.Birth{Mode: unix.S_IFREG | 0o6767, UID: 50, GID: 70}))
		ino := r.ino("f")
		asking(t, tt.user, func(who Caller) {
			a, err := r.fs.Setattr(who, ino, AttrChange{DropSetID: true})
			if err != nil || a.Mode&0o7777 != tt.want {
				t.Errorf("by %+v: mode %o, %v, want %o", tt.user, a.Mode&0o7777, err, tt.want)
			}
		})
	}
	if a, err := r.fs.Setattr(nobodyWaits, r.ino("b"), AttrChange{DropSetID: true}); err != nil || a.Mode&unix.S_IFDIR == 0 {
		t.Errorf("of a directory: %+v, %v", a, err)
	}
}
