package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// appended is a source file, so that the build is one of changed sources.
const (
	appended     = "cmd/antares-actor/main.go"
	appendedLine = "// Appended by the demo.\n"
)

// read shows that reading changes nothing.
func (s *stage) read(ctx context.Context) (string, error) {
	got, err := shell(ctx, briefly, s.mnt, "cat go.mod")
	if err != nil {
		return "", err
	}
	want, err := s.original(ctx, "go.mod")
	if err != nil {
		return "", err
	}
	if got != want {
		return "", fmt.Errorf("go.mod has %d bytes in the mount and %d in the commit, or others", len(got), len(want))
	}
	entries, err := os.ReadDir(s.upper)
	if err != nil || len(entries) > 0 {
		return "", errors.Join(fmt.Errorf("reading left %d entries in upper", len(entries)), err)
	}
	return "go.mod as in the commit; upper is empty", nil
}

func (s *stage) touch(ctx context.Context) (string, error) {
	return s.make(ctx, "touch touched", "touched", "")
}

func (s *stage) write(ctx context.Context) (string, error) {
	return s.make(ctx, "echo content > written", "written", "content\n")
}

// make runs a script that makes a file, and looks for it in the mount and in upper.
func (s *stage) make(ctx context.Context, script, name, content string) (string, error) {
	if _, err := shell(ctx, briefly, s.mnt, script); err != nil {
		return "", err
	}
	s.added = append(s.added, name)
	if _, err := shell(ctx, briefly, s.mnt, "test -f "+name); err != nil {
		return "", err
	}
	return "new file in upper", s.hasInUpper(name, content)
}

func (s *stage) mkdir(ctx context.Context) (string, error) {
	if _, err := shell(ctx, briefly, s.mnt, "mkdir made; rmdir made; mkdir -p made/deep; test -d made/deep"); err != nil {
		return "", err
	}
	info, err := os.Stat(filepath.Join(s.upper, "made", "deep"))
	if err == nil && !info.IsDir() {
		err = fs.ErrInvalid
	}
	return "new directories in upper", err
}

// appendBelow shows copy-up: the file that exists below becomes one in upper, and below it stays as it is.
func (s *stage) appendBelow(ctx context.Context) (string, error) {
	if _, err := shell(ctx, briefly, s.mnt, fmt.Sprintf("printf '%%s' '%s' >> %s", appendedLine, appended)); err != nil {
		return "", err
	}
	s.modified = append(s.modified, appended)
	original, err := s.original(ctx, appended)
	if err != nil {
		return "", err
	}
	changed := original + "\n" + appendedLine
	if err := s.hasInUpper(appended, changed); err != nil {
		return "", err
	}
	id, err := output(ctx, "git", "--git-dir", s.git, "rev-parse", s.commit+":"+appended)
	if err != nil {
		return "", err
	}
	stored, err := os.ReadFile(filepath.Join(s.cache, "objects", id[:2], id[2:]))
	if err != nil || string(stored) != original+"\n" {
		return "", errors.Join(fmt.Errorf("the content store has %d bytes for %s", len(stored), id), err)
	}
	return fmt.Sprintf("%s copied up: %d bytes in upper, the original's %d in the content store", appended, len(changed), len(stored)), nil
}

// original is a file as the commit has it, without white space at its end.
func (s *stage) original(ctx context.Context, path string) (string, error) {
	return output(ctx, "git", "--git-dir", s.git, "cat-file", "blob", s.commit+":"+path)
}

// hasInUpper checks a file where it should lie.
func (s *stage) hasInUpper(name, content string) error {
	b, err := os.ReadFile(filepath.Join(s.upper, name))
	if err != nil {
		return err
	}
	if string(b) != content {
		return fmt.Errorf("%s in upper has %d bytes, want %d, or others", name, len(b), len(content))
	}
	return nil
}
