package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// The grounds: file systems that all layers of all contenders lie on.
const (
	groundExt4  = "ext4"
	groundTmpfs = "tmpfs"
)

// ground is a file system made for one comparison, with what the contenders share on it.
type ground struct {
	name   string
	dir    string // where it is mounted
	lower  string // the corpus, checked out
	origin string // the same as a bare repository
}

// makeGround makes a file system of that kind and size below scratch and puts the corpus on it.
func makeGround(ctx context.Context, name, size, scratch string, c *corpus, u *undo) (*ground, error) {
	g := &ground{name: name, dir: filepath.Join(scratch, name)}
	g.lower, g.origin = filepath.Join(g.dir, "lower"), filepath.Join(g.dir, "origin.git")
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	if err := g.mount(ctx, size, scratch, u); err != nil {
		return nil, fmt.Errorf("make a ground of %s: %w", name, err)
	}
	if err := c.checkout(ctx, g.lower); err != nil {
		return nil, err
	}
	if err := copyTree(ctx, filepath.Join(c.repo, ".git"), g.origin); err != nil {
		return nil, err
	}
	_, err := command(ctx, g.origin, gitEnv(), "git", "-C", g.origin, "config", "core.bare", "true")
	return g, err
}

func (g *ground) mount(ctx context.Context, size, scratch string, u *undo) error {
	if g.name == groundTmpfs {
		if err := syscall.Mount("antares-bench", g.dir, "tmpfs", 0, "mode=755,size="+size); err != nil {
			return err
		}
		u.add(func() error { return unmount(g.dir) })
		return nil
	}
	image := filepath.Join(scratch, "ext4.img")
	if _, err := command(ctx, "", nil, "truncate", "-s", size, image); err != nil {
		return err
	}
	// Without the lazy initialisation, which would go on in the background while we measure.
	mkfs := []string{"mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image}
	if _, err := command(ctx, "", nil, mkfs...); err != nil {
		return err
	}
	u.add(func() error { return os.Remove(image) })
	// mount(8) sets the loop device's autoclear: the last unmount, even by the kernel, frees it.
	if _, err := command(ctx, "", nil, "mount", "-t", "ext4", "-o", "loop", image, g.dir); err != nil {
		return err
	}
	u.add(func() error { return unmount(g.dir) })
	return nil
}

// copyTree copies a directory with its times, as a new directory.
func copyTree(ctx context.Context, from, to string) error {
	_, err := command(ctx, "", nil, "cp", "-a", "--reflink=never", from, to)
	return err
}
