package upper_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// promoteAndCrash promotes files of several kinds into the upper of a disk, has another file synced, which makes the renames
// durable, and then cuts the power. It returns where upper is.
func promoteAndCrash(t *testing.T, fs string, volatile bool) string {
	t.Helper()
	disk := testfs.NewDisk(t, fs, "320M")
	cfg := upper.Config{
		Upper: filepath.Join(disk.Dir, "upper"), Work: filepath.Join(disk.Dir, "work"), Volatile: volatile,
		Log: slog.New(slog.DiscardHandler),
	}
	s, err := upper.Open(cfg)
	check(t, err)
	for name, b := range births() {
		st, err := s.Stage(original(b))
		check(t, err)
		if name == "a regular file" {
			check(t, s.Fill(st, strings.NewReader(strings.Repeat("content\n", 1000)), 8000))
		}
		check(t, s.Seal(st))
		check(t, s.Commit(st, s.Root(), name))
		st.File.Release()
	}
	other, _, err := s.Create(s.Root(), "other", upper.Birth{Mode: unix.S_IFREG | 0o644})
	check(t, err)
	_, err = other.WriteAt([]byte("kept"), 0)
	check(t, err)
	check(t, other.Sync(false))
	other.Release()
	disk.Fail()
	s.Close()
	disk.Mend()
	return cfg.Upper
}

func TestAPromotedFileIsOnDiskBeforeItIsInPlace(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			f := &fixture{t: t, upper: promoteAndCrash(t, fs, false)}
			for name, b := range births() {
				got := f.stat(name)
				if got.Mode != b.Mode || got.Uid != b.UID || got.Gid != b.GID || got.Mtim != then {
					t.Errorf("%s: mode %o, owner %d:%d, mtime %v", name, got.Mode, got.Uid, got.Gid, got.Mtim)
				}
				if m := f.xattr(name, "trusted.overlay.antares.ino"); m != string(mark) {
					t.Errorf("%s: mark %q", name, m)
				}
			}
			if f.read("a regular file") != strings.Repeat("content\n", 1000) {
				t.Error("the content was lost")
			}
		})
	}
}

func TestVolatileDoesNotWaitForTheDisk(t *testing.T) {
	f := &fixture{t: t, upper: promoteAndCrash(t, "xfs", true)}
	if f.read("a regular file") == strings.Repeat("content\n", 1000) {
		t.Error("the content was on disk: somebody synced it")
	}
	if got := f.read("other"); got != "kept" {
		t.Errorf("a file that its user synced has %q", got)
	}
}

// TestAPromotionWhoseSyncFails: the content was taken, and only then the disk fails to write it. The kernel tells that once.
func TestAPromotionWhoseSyncFails(t *testing.T) {
	disk := testfs.NewDiskIn(t, tmpfs(t, "size=12m"), "ext4", "128M")
	cfg := upper.Config{Upper: filepath.Join(disk.Dir, "upper"), Work: filepath.Join(disk.Dir, "work"), Log: slog.New(slog.DiscardHandler)}
	s, err := upper.Open(cfg)
	check(t, err)
	defer s.Close()
	st, err := s.Stage(original(upper.Birth{Mode: unix.S_IFREG | 0o644}))
	check(t, err)
	const size = 32 << 20
	check(t, s.Fill(st, cannotClone{strings.NewReader(strings.Repeat("content\n", size/8))}, size))
	first := s.Seal(st)
	if !errors.Is(first, unix.EIO) && !errors.Is(first, unix.ENOSPC) { // by the kernel's version
		t.Errorf("seal: %v, want EIO or ENOSPC", first)
	}
	if err := s.Commit(st, s.Root(), "x"); !errors.Is(err, first) {
		t.Errorf("commit: %v, want what seal said", err)
	}
	s.Abandon(st)
	if left := names(t, cfg.Upper); len(left) > 0 {
		t.Errorf("upper has %v", left)
	}
}
