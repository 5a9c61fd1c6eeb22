package testfs

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Snapshot is what a tree shows: a line of attributes for each path, "." being the root.
type Snapshot map[string]string

// Look says what a snapshot holds beside type, permissions, owner, size (not of directories), links (not of directories),
// content, targets and extended attributes.
type Look struct {
	// Before makes modification times part of it where they are earlier than this (unix seconds): those that somebody set or
	// that came with a file. Later ones show as "now". Pipes have none: on FUSE the kernel does not count writing to one.
	Before int64
	Inodes bool
	Skip   []string // paths to leave out, but not what is below them
}

// Take takes a snapshot of the tree at root.
func Take(t testing.TB, root string, look Look) Snapshot {
	t.Helper()
	s := make(Snapshot)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if slices.Contains(look.Skip, rel) {
			return nil
		}
		line, err := describe(path, look)
		s[rel] = line
		return err
	})
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	if len(s) == 0 {
		t.Fatalf("snapshot: %s shows nothing to compare", root)
	}
	return s
}

func describe(path string, look Look) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", fmt.Errorf("stat %s: %w", path, err)
	}
	line := fmt.Sprintf("mode %o owner %d:%d", st.Mode, st.Uid, st.Gid)
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
	case unix.S_IFCHR, unix.S_IFBLK:
		line += fmt.Sprintf(" device %d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	xattrs, err := xattrsOf(path)
	line += xattrs
	if look.Inodes {
		line += fmt.Sprintf(" inode %d", st.Ino)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFIFO:
	case st.Mtim.Sec < look.Before:
		line += fmt.Sprintf(" mtime %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	case look.Before != 0:
		line += " mtime now"
	}
	return line, err
}

func xattrsOf(path string) (string, error) {
	names := make([]byte, 4096)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		return "", fmt.Errorf("listxattr %s: %w", path, err)
	}
	all := strings.Split(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00")
	slices.Sort(all)
	text := ""
	for _, name := range all {
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		value := make([]byte, 4096)
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("getxattr %s %s: %w", path, name, err)
		}
		text += fmt.Sprintf(" %s=%q", name, value[:n])
	}
	return text, nil
}

// Same fails the test if two snapshots differ, naming each path that does.
func Same(t testing.TB, gotName string, got Snapshot, wantName string, want Snapshot) {
	t.Helper()
	paths := slices.Collect(maps.Keys(got))
	for p := range want {
		if _, ok := got[p]; !ok {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	shown := 0
	for _, p := range paths {
		if got[p] == want[p] {
			continue
		}
		if shown++; shown > 20 {
			t.Errorf("... and more")
			return
		}
		t.Errorf("%s: %s has %s\n\t%s has %s", p, gotName, orNothing(got[p]), wantName, orNothing(want[p]))
	}
}

func orNothing(line string) string {
	if line == "" {
		return "nothing"
	}
	return line
}
