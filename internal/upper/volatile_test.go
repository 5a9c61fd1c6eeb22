package upper_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

func volatileConfig(t *testing.T) upper.Config {
	dir := t.TempDir()
	return upper.Config{
		Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Volatile: true, Log: slog.New(slog.DiscardHandler),
	}
}

// kernelMount tries kernel overlayfs over the directories.
func kernelMount(t *testing.T, cfg upper.Config, options string) error {
	t.Helper()
	lower, point := t.TempDir(), t.TempDir()
	err := unix.Mount("overlay", point, "overlay", 0, "lowerdir="+lower+",upperdir="+cfg.Upper+",workdir="+cfg.Work+options)
	if err == nil {
		check(t, unix.Unmount(point, 0))
	}
	return err
}

func TestAVolatileUpperIsMarkedWhileItIsUsed(t *testing.T) {
	cfg := volatileConfig(t)
	s, err := upper.Open(cfg)
	check(t, err)
	if got := names(t, filepath.Join(cfg.Work, "work", "incompat")); len(got) != 1 || got[0] != "volatile" {
		t.Errorf("marks: %v", got)
	}
	if err := kernelMount(t, cfg, ""); !errors.Is(err, unix.EINVAL) {
		t.Errorf("kernel overlayfs: %v, want EINVAL", err)
	}
	s.Close()
	if _, err := os.Lstat(filepath.Join(cfg.Work, "work")); !os.IsNotExist(err) {
		t.Errorf("work/work after Close: %v", err)
	}
	check(t, kernelMount(t, cfg, ""))
	s, err = upper.Open(cfg) // beside what kernel overlayfs left
	check(t, err)
	s.Close()
	check(t, kernelMount(t, cfg, ""))
}

func TestAnUpperThatWasLeftVolatileIsRefused(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, cfg upper.Config){
		"by us": func(t *testing.T, cfg upper.Config) {
			check(t, os.MkdirAll(filepath.Join(cfg.Work, "work/incompat/volatile"), 0o700))
		},
		"by kernel overlayfs": func(t *testing.T, cfg upper.Config) { check(t, kernelMount(t, cfg, ",volatile")) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := volatileConfig(t)
			check(t, os.Mkdir(cfg.Upper, 0o755))
			check(t, os.Mkdir(cfg.Work, 0o755))
			leave(t, cfg)
			for _, cfg.Volatile = range []bool{true, false} {
				_, err := upper.Open(cfg)
				mark := filepath.Join(cfg.Work, "work", "incompat", "volatile")
				if !errors.Is(err, upper.ErrVolatile) || !errors.Is(err, upper.ErrUnusable) || !strings.Contains(err.Error(), "remove "+mark) {
					t.Fatalf("%v", err)
				}
			}
			check(t, os.RemoveAll(filepath.Join(cfg.Work, "work", "incompat", "volatile")))
			s, err := upper.Open(cfg)
			check(t, err)
			s.Close()
		})
	}
}

func TestAnUpperOfAnOverlayThatIsUnknownIsRefused(t *testing.T) {
	cfg := volatileConfig(t)
	check(t, os.MkdirAll(filepath.Join(cfg.Work, "work/incompat/novel"), 0o700))
	if _, err := upper.Open(cfg); !errors.Is(err, upper.ErrUnusable) || errors.Is(err, upper.ErrVolatile) || !strings.Contains(err.Error(), `"novel"`) {
		t.Errorf("%v", err)
	}
}
