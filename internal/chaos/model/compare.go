package model

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrDiffers is what comparisons find.
var ErrDiffers = errors.New("not what it must be")

// Tree compares the tree at root with the model below a directory.
func (n *Node) Tree(root string) error {
	if !n.Shared {
		if err := n.Same(root); err != nil {
			return err
		}
	}
	if !n.IsDir() {
		return nil
	}
	for _, name := range n.Names() {
		if err := n.Entries[name].Tree(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// Learning returns what forgets the inode numbers that are seen for the first time from now on. A comparison with a tree that
// turns out not to be the one that is there has taken them from whatever stands there.
func (n *Node) Learning() (forget func()) {
	var unseen []*Node
	n.Walk(func(p Place) {
		if e := p.Node(); e.Ino == 0 {
			unseen = append(unseen, e)
		}
	})
	return func() {
		for _, e := range unseen {
			e.Ino = 0
		}
	}
}

// Same compares what stands at a path with the model: attributes, and content or names or target.
func (n *Node) Same(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("%s: stat: %w", path, err)
	}
	if err := n.SameStat(path, &st); err != nil {
		return err
	}
	if err := n.SameXattrs(path); err != nil {
		return err
	}
	switch n.Kind {
	case unix.S_IFREG:
		return n.SameContent(path)
	case unix.S_IFDIR:
		return n.SameNames(path)
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return differ(path, "target", target, n.Target)
	}
	return nil
}

// SameStat compares attributes. The first inode number that it sees is the one that must stay.
func (n *Node) SameStat(path string, st *unix.Stat_t) error {
	if n.Ino == 0 {
		n.Ino = st.Ino
	}
	err := errors.Join(differ(path, "mode", fmt.Sprintf("%o", st.Mode), fmt.Sprintf("%o", n.Kind|n.Mode)), differ(path, "inode number", st.Ino, n.Ino))
	if !n.IsDir() {
		err = errors.Join(err, differ(path, "number of links", int(st.Nlink), n.Links))
	}
	if n.IsFile() {
		err = errors.Join(err, differ(path, "size", int(st.Size), len(n.Data)))
	}
	if n.Mtime != 0 && !n.IsDir() {
		err = errors.Join(err, differ(path, "time", st.Mtim.Sec, n.Mtime))
	}
	return err
}

// SameXattrs compares the attributes in the name space of users.
func (n *Node) SameXattrs(path string) error {
	names := make([]byte, 4096)
	count, err := unix.Llistxattr(path, names)
	if err != nil {
		return fmt.Errorf("%s: listxattr: %w", path, err)
	}
	got := make(map[string]string)
	value := make([]byte, 4096)
	for name := range strings.SplitSeq(string(names[:count]), "\x00") {
		if !strings.HasPrefix(name, "user.") {
			continue
		}
		size, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return fmt.Errorf("%s: getxattr %s: %w", path, name, err)
		}
		got[name] = string(value[:size])
	}
	if !maps.Equal(got, n.Xattrs) {
		return fmt.Errorf("%s: attributes %.200q, %w: %.200q", path, got, ErrDiffers, n.Xattrs)
	}
	return nil
}

// SameContent compares a file's bytes.
func (n *Node) SameContent(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: open: %w", path, err)
	}
	return errors.Join(n.SameBytes(path, fd), unix.Close(fd))
}

// SameBytes compares what a descriptor reads with the file's bytes.
func (n *Node) SameBytes(path string, fd int) error {
	got, err := ReadAll(fd, len(n.Data)+1)
	if err != nil {
		return fmt.Errorf("%s: read: %w", path, err)
	}
	if bytes.Equal(got, n.Data) {
		return nil
	}
	at := 0
	for at < min(len(got), len(n.Data)) && got[at] == n.Data[at] {
		at++
	}
	return fmt.Errorf("%s: %d bytes, %w: %d; they differ from %d on: %.40q and %.40q", path, len(got), ErrDiffers, len(n.Data), at, got[at:], n.Data[at:])
}

// ReadAll reads up to limit bytes from the beginning of a file.
func ReadAll(fd, limit int) ([]byte, error) {
	buf := make([]byte, limit)
	for have := 0; ; {
		n, err := unix.Pread(fd, buf[have:], int64(have))
		have += max(n, 0) // -1 with an error
		if n <= 0 || have == limit {
			return buf[:have], err
		}
	}
}

// SameNames compares a directory's listing.
func (n *Node) SameNames(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	got, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	slices.Sort(got)
	if want := n.Names(); !slices.Equal(got, want) {
		return fmt.Errorf("%s: lists %q, %w: %q", path, got, ErrDiffers, want)
	}
	return nil
}

func differ[T comparable](path, what string, got, want T) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s: %s %v, %w: %v", path, what, got, ErrDiffers, want)
}
