package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// manifest lists the corpus for the workloads, relative to the tree's root, without ownDir and .git. All contenders get the same.
type manifest struct {
	Files []string // regular files, each after its directory, depth first
	Dirs  []string // "." first, each after its parent
	Small []string // files of 1 byte to 64 KiB, shuffled; the first ones are the hot set, the last ones are for copy-up
}

const smallFile = 64 << 10

func readManifest(tree string) (*manifest, error) {
	var m manifest
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		switch {
		case rel == ownDir || rel == ".git":
			return fs.SkipDir
		case d.IsDir():
			m.Dirs = append(m.Dirs, rel)
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		m.Files = append(m.Files, rel)
		info, err := d.Info()
		if err == nil && info.Size() > 0 && info.Size() <= smallFile {
			m.Small = append(m.Small, rel)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the corpus: %w", err)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(m.Small), func(i, j int) { m.Small[i], m.Small[j] = m.Small[j], m.Small[i] })
	return &m, nil
}

// check refuses a corpus that is too small for what is asked of it.
func (m *manifest) check(s scale, rounds int) error {
	if need := s.Hot + rounds*s.CopyUps; len(m.Small) < need {
		return fmt.Errorf("the corpus has %d files of 1 byte to 64 KiB; %d rounds need %d", len(m.Small), rounds, need)
	}
	if len(m.Dirs) < 2 {
		return errors.New("the corpus has no directories")
	}
	return nil
}

// hot is the set of files that is opened again and again; it is never written to.
func (m *manifest) hot(s scale) []string { return m.Small[:s.Hot] }

// fresh are the files that a round may copy up: no other round has touched them.
func (m *manifest) fresh(s scale, round int) []string {
	end := len(m.Small) - round*s.CopyUps
	return m.Small[end-s.CopyUps : end]
}

func (m *manifest) save(path string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

func loadManifest(path string) (*manifest, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var m manifest
	return &m, json.Unmarshal(b, &m)
}
