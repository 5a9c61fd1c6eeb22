package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// goBuild builds a program whose sources are in the tree, into the tree. Its build cache is a copy of the primed one on the
// same ground, outside the contender: a cache in the user's home is the usual case.
func goBuild(p *probe) (got tally, err error) {
	dir, remove, err := p.workDir()
	if err != nil {
		return tally{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	goCache := filepath.Join(p.Outside, "gocache")
	if err := copyTree(context.Background(), p.Prime, goCache); err != nil {
		return tally{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(goCache)) }()
	program, binary := filepath.Join(p.Root, ownDir, "program"), filepath.Join(dir, "built")
	err = p.time(func() error {
		_, err := command(context.Background(), program, buildEnv(goCache), "go", "build", "-o", binary, programPackage)
		return err
	})
	if err != nil {
		return tally{}, err
	}
	info, err := os.Stat(binary)
	if err != nil {
		return tally{}, fmt.Errorf("the build left no binary: %w", err)
	}
	if info.Size() < 1<<20 || info.Mode().Perm()&0o111 == 0 {
		return tally{}, fmt.Errorf("the build left %d bytes with mode %v", info.Size(), info.Mode())
	}
	return tally{1, "built"}, nil
}
