package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

// The contenders' names.
const (
	plainName   = "ext4"
	overlayName = "overlayfs"
	fuseName    = "fuse-overlayfs"
	oursName    = "antares-actor"
)

// contenders start what shows an empty tree, and return where. They are by name; contenderNames has their order.
var contenders = map[string]func(ctx context.Context, g *ground) (*stand, error){
	plainName:   startPlain,
	overlayName: startOverlay("overlay", "lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work"),
	fuseName:    startOverlay("fuse.fuse-overlayfs", "lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work,allow_other,dev,suid"),
	oursName:    startOverlay("fuse.antares-actor", "lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work,allow_other,dev,suid"),
}

func contenderNames() []string { return []string{plainName, overlayName, fuseName, oursName} }

// stand is a contender that is ready.
type stand struct {
	root string
	stop func() error
}

func startPlain(_ context.Context, g *ground) (*stand, error) {
	dir, err := g.fresh()
	return &stand{root: dir, stop: func() error { return nil }}, err
}

// startOverlay mounts by mount(8), as a user's fstab would.
func startOverlay(kind, options string) func(context.Context, *ground) (*stand, error) {
	return func(ctx context.Context, g *ground) (*stand, error) {
		dir, err := g.fresh("lower", "upper", "work", "mnt")
		if err != nil {
			return nil, err
		}
		mnt := filepath.Join(dir, "mnt")
		if _, err := command(ctx, "mount", "-t", kind, "conformance", mnt, "-o", fmt.Sprintf(options, dir)); err != nil {
			return nil, err
		}
		return &stand{root: mnt, stop: func() error { return unmount(mnt) }}, nil
	}
}

// unmount takes a mount away, waiting for a while for those who are still leaving it.
func unmount(path string) error {
	var err error
	for range 50 {
		if err = syscall.Unmount(path, 0); !errors.Is(err, syscall.EBUSY) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("unmount %s: %w", path, err), syscall.Unmount(path, syscall.MNT_DETACH))
}
