package upper_test

import (
	"bytes"
	"log/slog"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// A store that reaches upper by a mount of its own works, and holds upper as any other: even where the two directories have
// nothing but a mountpoint, or another mount, above them.
func TestAccessTimesNeedOneMount(t *testing.T) {
	root := tmpfs(t, "size=4m")
	other := t.TempDir()
	check(t, os.Mkdir(root+"/here", 0o755))
	check(t, unix.Mount(root+"/here", other, "", unix.MS_BIND, ""))
	t.Cleanup(func() { check(t, unix.Unmount(other, 0)) })
	for _, at := range []struct{ upper, work, warning string }{
		{root + "/u", root + "/w", ""},
		{root + "/a/b/u", root + "/a/w", ""},
		{root + "/a/x", root + "/a/x.work", ""},
		{other + "/u", other + "/w", ""},
	} {
		var log bytes.Buffer
		cfg := upper.Config{Upper: at.upper, Work: at.work, Log: slog.New(slog.NewTextHandler(&log, nil)), AccessTimes: upper.AccessTimes{None: true}}
		s, err := upper.Open(cfg)
		check(t, err)
		if _, err := upper.Open(cfg); err == nil {
			t.Errorf("%s is opened twice", at.upper)
		}
		check(t, s.Whiteout(s.Root(), "gone"))
		if _, err := os.Lstat(at.upper + "/gone"); err != nil {
			t.Error(err)
		}
		s.Close()
		if s.OpenFiles() != 0 || log.Len() > 0 {
			t.Errorf("%s: %d files open, the log says %q", at.upper, s.OpenFiles(), log.String())
		}
	}
}
