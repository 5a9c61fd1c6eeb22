package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

// takeTree returns a line for each path in a tree.
func takeTree(root string) (map[string]string, error) {
	tree := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			tree[path[len(root):]], err = describe(path)
		}
		return err
	})
	if err == nil && len(tree) < 2 {
		err = fmt.Errorf("%s shows nothing", root)
	}
	return tree, err
}

func describe(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", fmt.Errorf("stat %s: %w", path, err)
	}
	line := fmt.Sprintf("inode %d mode %o owner %d:%d time %d.%09d", st.Ino, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		line += fmt.Sprintf(" size %d links %d", st.Size, st.Nlink)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" content %.8x", sha256.Sum256(b))
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" target %q", target)
	}
	return line, nil
}

// sameTree names the first paths that differ.
func sameTree(before, after map[string]string) error {
	all := maps.Clone(before)
	maps.Copy(all, after)
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if before[path] != after[path] && len(errs) < 10 {
			errs = append(errs, fmt.Errorf("%s: %q, %w: %q", path, after[path], model.ErrDiffers, before[path]))
		}
	}
	return errors.Join(errs...)
}
