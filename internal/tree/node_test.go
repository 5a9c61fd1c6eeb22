package tree_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestPath(t *testing.T) {
	dir := func(parent *tree.Node, name string) *tree.Node {
		return tree.NewNode(1, nil, unix.S_IFDIR|0o755, tree.Place{Parent: parent, Name: name}, tree.State{})
	}
	root := dir(nil, "")
	if root.Path() != "" {
		t.Errorf("the root is %q", root.Path())
	}
	a := dir(root, "a")
	b := dir(a, "b c")
	file := tree.NewNode(2, nil, unix.S_IFREG|0o600, tree.Place{Parent: b, Name: "日本"}, tree.State{})
	if got := file.Path(); got != "a/b c/日本" {
		t.Errorf("%q", got)
	}
	b.SetPlace(tree.Place{Parent: root, Name: "moved"}) // a rename of a directory moves all below it
	if got := file.Path(); got != "moved/日本" {
		t.Errorf("after the rename: %q", got)
	}
	deep := root
	for range 300 {
		deep = dir(deep, "d")
	}
	if got := deep.Path(); len(got) != 599 || strings.Count(got, "/") != 299 {
		t.Errorf("%d levels", strings.Count(got, "/")+1)
	}
}

func TestNodeType(t *testing.T) {
	for mode, want := range map[uint32]bool{unix.S_IFDIR | 0o755: true, unix.S_IFREG: false, unix.S_IFBLK: false, unix.S_IFLNK: false} {
		n := tree.NewNode(1, nil, mode, tree.Place{}, tree.State{})
		if n.IsDir() != want || tree.IsDir(mode) != want || n.Type != mode&unix.S_IFMT {
			t.Errorf("%o: %v, type %o", mode, n.IsDir(), n.Type)
		}
	}
}

func TestSnapshotsArePublished(t *testing.T) {
	n := node(5)
	if n.Table() != nil || n.File() != nil || n.TakeFile() != nil || n.State().Where != tree.Lower {
		t.Error("a new node knows something")
	}
	n.SetState(tree.State{Where: tree.Upper, UpperIno: 9, Orphan: true})
	if s := n.State(); s.Where != tree.Upper || s.UpperIno != 9 || !s.Orphan {
		t.Errorf("%+v", s)
	}
	n.SetTable(&tree.Table{})
	if n.Table() == nil {
		t.Error("no table")
	}
	n.SetTable(nil)
	if n.Table() != nil {
		t.Error("the table is not forgotten")
	}
}

func TestNumbers(t *testing.T) {
	const high = 7 << 61
	seen := make(map[uint64]string)
	for _, path := range []string{"", "a", "b", "a/b", "ab", "a/b/c", "日本/x"} {
		ino := tree.LowerIno(path)
		if ino&high != 1<<62&high && ino&high != 3<<61&high {
			t.Errorf("%q: %x is no lower number", path, ino)
		}
		if other, twice := seen[ino]; twice {
			t.Errorf("%q and %q share a number", path, other)
		}
		seen[ino] = path
		if path == "" {
			continue
		}
		dir, name := "", path
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			dir, name = path[:i], path[i+1:]
		}
		if got := tree.LowerChildIno(dir, name); got != ino {
			t.Errorf("%q: %x by directory and name, %x by path", path, got, ino)
		}
		if back, ok := tree.DecodeIno(tree.EncodeIno(ino)); !ok || back != ino {
			t.Errorf("%q: %x comes back as %x, %v", path, ino, back, ok)
		}
	}
	for _, st := range []uint64{1, 2, 1 << 40, 1<<61 - 1} {
		if ino := tree.UpperIno(st); ino>>61 != 1 || ino&^(1<<61) != st {
			t.Errorf("upper %x is %x", st, ino)
		}
	}
}

func TestDecodeInoRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":         nil,
		"too short":       make([]byte, 7),
		"too long":        tree.EncodeIno(tree.LowerIno("a"))[:8:8],
		"the root":        tree.EncodeIno(tree.RootIno),
		"an upper number": tree.EncodeIno(tree.UpperIno(12)),
		"the sign bit":    tree.EncodeIno(1<<63 | 1<<62),
	} {
		if name == "too long" {
			b = append(b, 0)
		}
		if ino, ok := tree.DecodeIno(b); ok {
			t.Errorf("%s: %x", name, ino)
		}
	}
}

func TestAttrFromStat(t *testing.T) {
	st := unix.Stat_t{
		Ino: 3, Mode: unix.S_IFREG | 0o4751, Nlink: 2, Uid: 10, Gid: 20, Rdev: 30, Blksize: 4096, Size: 50, Blocks: 8,
		Atim: unix.Timespec{Sec: 1, Nsec: 2}, Mtim: unix.Timespec{Sec: 3, Nsec: 4}, Ctim: unix.Timespec{Sec: 5, Nsec: 6},
	}
	want := tree.Attr{
		Ino: 99, Mode: unix.S_IFREG | 0o4751, Nlink: 2, UID: 10, GID: 20, Rdev: 30, Blksize: 4096, Size: 50, Blocks: 8,
		Atime: st.Atim, Mtime: st.Mtim, Ctime: st.Ctim,
	}
	if got := tree.AttrFromStat(99, &st); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
