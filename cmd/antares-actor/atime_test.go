package main_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// readings reads a file twice and lists a directory of the mount, and tells what that did to access times.
func readings(t *testing.T, point string) (now string) {
	t.Helper()
	const hour, day = 3600, 86_400
	var start unix.Timespec
	check(t, unix.ClockGettime(unix.CLOCK_REALTIME, &start))
	for _, step := range []struct {
		name string
		ago  int64 // how old the access time is
		do   func(path string) error
	}{
		{"dir", 3 * day, func(path string) error { _, err := os.ReadDir(path); return err }},
		{"dir/old", 3 * day, readIt},
		{"dir/fresh", -hour, readIt}, // later than the change, which counts with relatime
		{"dir/fresh", -hour, readIt}, // the kernel has the content now
	} {
		path := point + "/" + step.name
		if start.Sec < 5*day {
			t.Fatal("the clock says 1970")
		}
		before := unix.Timespec{Sec: start.Sec - step.ago}
		if !readOnly(t, point) {
			check(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{before, {Sec: start.Sec - 5*day}}, 0))
		}
		var old, st unix.Stat_t
		check(t, firstOf(unix.Stat(path, &old), step.do(path), unix.Stat(path, &st)))
		if old.Mtim != st.Mtim || old.Ctim != st.Ctim {
			t.Errorf("reading %s moved more than its access time", step.name)
		}
		if st.Atim != old.Atim {
			now += " " + step.name
		}
	}
	return now
}

func readIt(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func readOnly(t *testing.T, point string) bool {
	t.Helper()
	var st unix.Statfs_t
	check(t, unix.Statfs(point, &st))
	return st.Flags&unix.ST_RDONLY != 0
}

func TestAccessTimesFollowTheMountOptions(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	point, base, upper := lab.Mkdir("mnt"), lab.Mkdir("base"), lab.Mkdir("upper")
	check(t, firstOf(os.Mkdir(upper+"/dir", 0o755), os.WriteFile(upper+"/dir/old", []byte("x"), 0o644), os.WriteFile(upper+"/dir/fresh", []byte("x"), 0o644)))
	for _, at := range []struct{ options, want string }{
		{"relatime", " dir/old"},
		{"noatime", ""},
		{"noatime,relatime", " dir/old"},
		{"strictatime", " dir/old dir/fresh dir/fresh"},
		{"ro,strictatime", ""},
	} {
		helper(t, lab, point, at.options+",lowerdir="+base+",upperdir="+upper+",workdir="+lab.Mkdir("work")).OK()
		if got := readings(t, point); got != at.want {
			t.Errorf("%s: the access times of%s moved, want those of%s", at.options, got, at.want)
		}
		shown := strings.Contains(read(t, "/proc/self/mountinfo"), point+" rw,noatime ")
		if strings.HasSuffix(at.options, "noatime") != shown {
			t.Errorf("%s: the mount table shows noatime: %v", at.options, shown)
		}
		check(t, testfs.Unmount(point))
	}
}
