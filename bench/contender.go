package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The contenders that others are related to by name.
const (
	plainName   = "plain"
	overlayName = "overlayfs"
)

// contender is a way to show the corpus, writable, at a path.
type contender struct {
	name  string
	about string
	// takesPart says which workloads it can run; nil: all.
	takesPart func(workload string) bool
	start     func(ctx context.Context, s *site) (*stand, error)
}

// site is what a contender gets: directories of its own on the ground, and what all share there.
type site struct {
	*ground
	own    string // its directory on the ground, with what the methods below name
	binary string // ours, built from the checkout
	log    io.Writer
}

func (s *site) path(name string) string { return filepath.Join(s.own, name) }

// expand replaces {name} by what the site has under that name.
func (s *site) expand(text string) string {
	return strings.NewReplacer("{mnt}", s.path("mnt"), "{src}", s.path("src"), "{upper}", s.path("upper"), "{work}", s.path("work"),
		"{cache}", s.path("cache"), "{state}", s.path("state"), "{lower}", s.lower, "{origin}", s.origin, "{binary}", s.binary).Replace(text)
}

// stand is a contender that is ready.
type stand struct {
	root  string        // where the corpus shows
	ready time.Duration // from the start of its program to the first listing of its root; 0: it has no program
	stop  func() error
	peak  func() int64 // its server's largest resident set so far, in bytes; 0: it has no server
}

// errLeftOut marks a contender that this machine lacks: the report names it, and the run goes on.
var errLeftOut = errors.New("left out")

// contenders are all that the harness knows.
func contenders() []contender {
	coldOnly := func(workload string) bool { return strings.HasPrefix(workload, "cold-") }
	return []contender{
		{name: plainName, about: "a copy of the tree on the ground itself", start: startPlain},
		{name: overlayName, about: "the kernel's overlayfs", start: startOverlay},
		{name: "fuse-overlayfs", about: "fuse-overlayfs as installed", start: startFuseOverlay},
		{name: "antares", about: "this checkout, over the git repository", start: startAntares},
		{name: "gofuse-memory", about: "a bare go-fuse server over a tree in memory", takesPart: coldOnly, start: startBare("memory")},
		{name: "gofuse-loopback", about: "go-fuse's loopback over the lower layer", takesPart: coldOnly, start: startBare("loopback")},
	}
}

func contenderNames() []string {
	var names []string
	for _, c := range contenders() {
		names = append(names, c.name)
	}
	return names
}

// chosen are the contenders of this run, in the order of the command line.
func (o *options) chosen() []contender {
	byName := make(map[string]contender)
	for _, c := range contenders() {
		byName[c.name] = c
	}
	var out []contender
	for _, name := range o.contenders {
		out = append(out, byName[name])
	}
	for _, extra := range o.extras {
		name, cmd, _ := strings.Cut(extra, "=")
		out = append(out, contender{name: name, about: cmd, start: startExtra(cmd)})
	}
	return out
}

// prepare makes the site's empty directories.
func (s *site) prepare() error {
	for _, name := range []string{"mnt", "upper", "work", "cache", "state"} {
		if err := os.MkdirAll(s.path(name), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// startPlain needs no program: a copy of the tree.
func startPlain(ctx context.Context, s *site) (*stand, error) {
	if err := copyTree(ctx, s.lower, s.path("src")); err != nil {
		return nil, err
	}
	return &stand{root: s.path("src"), stop: func() error { return nil }}, nil
}

// startOverlay mounts the kernel's overlayfs with its defaults.
func startOverlay(_ context.Context, s *site) (*stand, error) {
	mnt, began := s.path("mnt"), time.Now()
	if err := syscall.Mount("overlay", mnt, "overlay", 0, s.expand("lowerdir={lower},upperdir={upper},workdir={work}")); err != nil {
		return nil, fmt.Errorf("mount overlay: %w", err)
	}
	return &stand{root: mnt, ready: time.Since(began), stop: func() error { return unmount(mnt) }}, nil
}
