package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// status has git compare the whole mount with the commit, contents and modes: what the demo changed and made must differ,
// and nothing else. git works on an index of the demo's own; HEAD does not matter, it may move while the demo runs.
func (s *stage) compare(ctx context.Context) (string, error) {
	env := []string{"GIT_DIR=" + s.git, "GIT_WORK_TREE=" + s.mnt, "GIT_INDEX_FILE=" + filepath.Join(s.dir, "index")}
	git := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, atWork)
		defer cancel()
		plain := []string{"-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "-c", "core.autocrlf=false"}
		cmd := newCommand(ctx, "git", append(plain, args...)...)
		cmd.Env = append(cmd.Env, env...)
		return outputOf(ctx, cmd)
	}
	if _, err := git("read-tree", s.commit); err != nil {
		return "", err
	}
	tracked, err := git("ls-files")
	if err != nil {
		return "", err
	}
	changed, err := git("diff", "--no-ext-diff", "--no-renames", "--name-status")
	if err != nil {
		return "", err
	}
	added, err := git("ls-files", "--others")
	if err != nil {
		return "", err
	}
	slices.Sort(s.added)
	if want := "M\t" + strings.Join(s.modified, "\nM\t"); changed != want {
		return "", fmt.Errorf("git sees these changes:\n%s\nand not these:\n%s", changed, want)
	}
	if want := strings.Join(s.added, "\n"); added != want {
		return "", fmt.Errorf("git sees these new files:\n%s\nand not these:\n%s", added, want)
	}
	same := strings.Count(tracked, "\n") + 1 - len(s.modified)
	return fmt.Sprintf("%d files as in the commit, %d modified, %d new", same, len(s.modified), len(s.added)), nil
}

// files tells where everything lies, and checks that upper has no more than was changed.
func (s *stage) files(context.Context) (string, error) {
	var names []string
	size, err := walk(s.upper, func(rel string) { names = append(names, rel) })
	if err != nil {
		return "", err
	}
	want := slices.Concat(s.added, s.modified)
	slices.Sort(want)
	slices.Sort(names)
	if !slices.Equal(names, want) {
		return "", fmt.Errorf("upper has the files %v, want %v", names, want)
	}
	objects := 0
	stored, err := walk(filepath.Join(s.cache, "objects"), func(string) { objects++ })
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("changes, %d files with %d KB: %s\ncontent store, %d objects with %d KB: %s",
		len(names), size>>10, s.upper, objects, stored>>10, s.cache), nil
}

// walk visits the files below dir and returns their size in bytes.
func walk(dir string, visit func(rel string)) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		size += info.Size()
		rel, err := filepath.Rel(dir, path)
		visit(rel)
		return err
	})
	return size, err
}

// unmount takes the mount away as a user does, and looks for what it could have left.
func (s *stage) unmount(ctx context.Context) (string, error) {
	if _, err := output(ctx, s.program, "unmount", s.mnt); err != nil {
		return "", err
	}
	s.isUp = false
	if mounted, err := s.mounted(); err != nil || mounted {
		return "", errors.Join(errors.New("it is still in the mount table"), err)
	}
	for _, dir := range []string{s.mnt, s.upper + ".work/tmp", s.upper + ".work/orphans"} {
		left, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 0 {
			return "", errors.Join(fmt.Errorf("%d entries left in %s", len(left), dir), err)
		}
	}
	return "clean", s.stopServer()
}
