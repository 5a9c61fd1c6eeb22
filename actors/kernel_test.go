package actors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// kernel calls an FS as Linux would: it walks paths, and knows only nodes that it looked up. It is for one goroutine.
type kernel struct {
	t     testing.TB
	fs    *FS
	known map[uint64]uint64 // lookups by number
}

// nobodyWaits is a caller without a thread, which nothing interrupts.
var nobodyWaits = Caller{}

// took counts a lookup that the FS has counted.
func (k *kernel) took(a tree.Attr, err error) (tree.Attr, error) {
	if err == nil {
		k.known[a.Ino]++
	}
	return a, err
}

// lookup walks to a path. "" is the root.
func (k *kernel) lookup(path string) (tree.Attr, error) {
	if path == "" {
		return k.fs.Getattr(nobodyWaits, tree.RootIno)
	}
	a := tree.Attr{Ino: tree.RootIno}
	for _, name := range strings.Split(path, "/") {
		var err error
		if a, err = k.took(k.fs.Lookup(nobodyWaits, a.Ino, name)); err != nil {
			return a, err
		}
	}
	return a, nil
}

// ino is lookup for a path that must be there.
func (k *kernel) ino(path string) uint64 {
	k.t.Helper()
	a, err := k.lookup(path)
	if err != nil {
		k.t.Fatalf("lookup %s: %v", path, err)
	}
	if path == "" {
		return tree.RootIno
	}
	return a.Ino
}

func (k *kernel) node(path string) *tree.Node { return k.fs.core.index.Find(k.ino(path)) }

func (k *kernel) exists(path string) bool {
	_, err := k.lookup(path)
	return err == nil
}

// forget lets go of one number, forgetAll of all.
func (k *kernel) forget(ino uint64) {
	if n := k.known[ino]; n > 0 {
		k.fs.Forget(ino, n)
		delete(k.known, ino)
	}
}

func (k *kernel) forgetAll() {
	for ino := range k.known {
		k.forget(ino)
	}
}

// split returns a path's directory, looked up, and its last name.
func (k *kernel) split(path string) (uint64, string, error) {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	if dir == "" {
		return tree.RootIno, name, nil
	}
	a, err := k.lookup(dir)
	return a.Ino, name, err
}

func (k *kernel) make(path string, b upper.Birth) error {
	dir, name, err := k.split(path)
	if err == nil {
		_, err = k.took(k.fs.Create(nobodyWaits, dir, name, b))
	}
	return err
}

func (k *kernel) create(path string) error {
	return k.make(path, upper.Birth{Mode: unix.S_IFREG | 0o644})
}
func (k *kernel) mkdir(path string) error {
	return k.make(path, upper.Birth{Mode: unix.S_IFDIR | 0o755})
}

func (k *kernel) symlink(target, path string) error {
	return k.make(path, upper.Birth{Mode: unix.S_IFLNK | 0o777, Target: target})
}

func (k *kernel) remove(path string, dir bool) error {
	parent, name, err := k.split(path)
	if err != nil {
		return err
	}
	if _, err := k.lookup(path); err != nil { // Linux removes only what it looked up
		return err
	}
	return k.fs.Remove(nobodyWaits, parent, name, dir)
}

func (k *kernel) unlink(path string) error { return k.remove(path, false) }
func (k *kernel) rmdir(path string) error  { return k.remove(path, true) }

func (k *kernel) rename(from, to string, flags uint32) error {
	oldDir, oldName, err := k.split(from)
	if err != nil {
		return err
	}
	newDir, newName, err := k.split(to)
	if err != nil {
		return err
	}
	if _, err := k.lookup(from); err != nil {
		return err
	}
	if _, err := k.lookup(to); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return k.fs.Rename(nobodyWaits, oldDir, oldName, newDir, newName, flags)
}

func (k *kernel) link(from, to string) error {
	a, err := k.lookup(from)
	if err != nil {
		return err
	}
	dir, name, err := k.split(to)
	if err == nil {
		_, err = k.took(k.fs.Link(nobodyWaits, a.Ino, dir, name))
	}
	return err
}

func (k *kernel) writeAt(path, text string, off int64) error {
	a, err := k.lookup(path)
	if err != nil {
		return err
	}
	n, err := k.fs.Write(nobodyWaits, a.Ino, []byte(text), off, false)
	if err == nil && n != len(text) {
		return fmt.Errorf("wrote %d of %d bytes", n, len(text))
	}
	return err
}

// write makes a file of this content.
func (k *kernel) write(path, text string) error {
	if err := k.create(path); err != nil {
		return err
	}
	return k.writeAt(path, text, 0)
}

func (k *kernel) read(path string) (string, error) {
	a, err := k.lookup(path)
	if err != nil {
		return "", err
	}
	p := make([]byte, a.Size+10)
	n, err := k.fs.Read(nobodyWaits, a.Ino, p, 0)
	return string(p[:n]), err
}

func (k *kernel) readlink(path string) (string, error) {
	a, err := k.lookup(path)
	if err != nil {
		return "", err
	}
	return k.fs.Readlink(nobodyWaits, a.Ino)
}

func (k *kernel) setattr(path string, c AttrChange) (tree.Attr, error) {
	a, err := k.lookup(path)
	if err != nil {
		return a, err
	}
	return k.fs.Setattr(nobodyWaits, a.Ino, c)
}

func (k *kernel) truncate(path string, size int64) error {
	_, err := k.setattr(path, AttrChange{Size: &size})
	return err
}

func (k *kernel) chmod(path string, mode uint32) error {
	_, err := k.setattr(path, AttrChange{Mode: &mode})
	return err
}

// list returns a directory's names, sorted.
func (k *kernel) list(path string) ([]string, error) {
	a, err := k.lookup(path)
	if err != nil {
		return nil, err
	}
	ino := a.Ino
	if path == "" {
		ino = tree.RootIno
	}
	var names []string
	err = k.fs.Readdir(nobodyWaits, ino, Cursor{}, func(e DirEntry) bool {
		if e.Name != "." && e.Name != ".." {
			names = append(names, e.Name)
		}
		return true
	})
	slices.Sort(names)
	return names, err
}

// snapshot describes everything below the root, a line each: what a user could see of it, and its number.
func (k *kernel) snapshot() string {
	k.t.Helper()
	var b strings.Builder
	k.describe(&b, "")
	return b.String()
}

func (k *kernel) describe(b *strings.Builder, path string) {
	k.t.Helper()
	a, err := k.lookup(path)
	check(k.t, err)
	fmt.Fprintf(b, "/%s ino %x mode %o owner %d:%d", path, a.Ino, a.Mode, a.UID, a.GID)
	switch a.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		fmt.Fprintln(b)
		names, err := k.list(path)
		check(k.t, err)
		for _, name := range names {
			k.describe(b, strings.TrimPrefix(path+"/"+name, "/"))
		}
		return
	case unix.S_IFLNK:
		target, err := k.readlink(path)
		check(k.t, err)
		fmt.Fprintf(b, " -> %s\n", target)
	case unix.S_IFREG:
		text, err := k.read(path)
		check(k.t, err)
		fmt.Fprintf(b, " links %d size %d mtime %v %q\n", a.Nlink, a.Size, a.Mtime, text[:min(len(text), 40)])
	default:
		fmt.Fprintf(b, " rdev %x\n", a.Rdev)
	}
}

// wantText checks a file's content.
func (k *kernel) wantText(path, want string) {
	k.t.Helper()
	if got, err := k.read(path); err != nil || got != want {
		k.t.Errorf("%s reads %q, %v, want %q", path, got, err, want)
	}
}

// wantErr checks that err is the errno, or nil.
func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
