package main_test

import (
	"path/filepath"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// program is a real one at work in a tree.
type program struct {
	needs  map[string]string // programs, and the Debian packages that have them
	script string            // what it does
	after  string            // what must hold when the tree is mounted again
	skip   []string          // paths that no two runs leave the same, by pattern
	env    []string
}

// works runs a program in a mount, looks at what it left, also through another mount, and then does the same in a plain
// directory at the same path, since programs write paths into files. Both must leave the same tree.
func (p program) works(t *testing.T, lab *testfs.Lab, repo *origintest.Repo) {
	t.Helper()
	for program, debianPackage := range p.needs {
		lab.Need(program, debianPackage)
	}
	look := testfs.Look{Before: old, Skip: []string{"."}}
	place := lab.Mkdir("place")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Point: place})
	p.run(lab, place, p.script)
	got := p.look(t, place, look)
	m.Unmount()
	again := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Point: place, Upper: m.Upper})
	testfs.Same(t, "remount", p.look(t, place, look), "mount", got)
	p.run(lab, place, p.after)
	again.Unmount()
	lab.Shell("", "mv '"+lab.Checkout(repo.Dir, "HEAD")+"'/* place/")
	p.run(lab, place, p.script)
	testfs.Same(t, "mount", got, "plain directory", p.look(t, place, look))
}

func (p program) run(lab *testfs.Lab, dir, script string) {
	lab.Run(testfs.Command{Dir: dir, Env: p.env}, "bash", "-euo", "pipefail", "-c", script).OK()
}

func (p program) look(t *testing.T, dir string, look testfs.Look) testfs.Snapshot {
	t.Helper()
	s := testfs.Take(t, dir, look)
	for path := range s {
		for _, pattern := range p.skip {
			if matches(pattern, path) {
				delete(s, path)
			}
		}
	}
	return s
}

// matches tells whether a path, or a directory above it, matches the pattern, or has a name that does.
func matches(pattern, path string) bool {
	for ; path != "."; path = filepath.Dir(path) {
		whole, _ := filepath.Match(pattern, path)
		name, _ := filepath.Match(pattern, filepath.Base(path))
		if whole || name {
			return true
		}
	}
	return false
}
