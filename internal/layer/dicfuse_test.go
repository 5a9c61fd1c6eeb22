package layer_test

import (
	"errors"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/cache"
	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
)

func openCache(t *testing.T) *cache.Store {
	t.Helper()
	store, err := cache.Open(cache.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// lowerNode makes a node of an entry with this content, as the region would.
func lowerNode(name string, mode object.Mode, content []byte) *tree.Node {
	id := object.Sum(object.Blob, content)
	if mode == object.ModeTree {
		id = object.EmptyTree
	}
	s := layer.LowerState(object.Entry{Name: name, Mode: mode, ID: id})
	return tree.NewNode(tree.LowerIno(name), nil, s.Mode, tree.Place{Name: name}, s)
}

func objectMode(mode uint32) object.Mode {
	switch {
	case mode&unix.S_IFMT == unix.S_IFDIR:
		return object.ModeTree
	case mode&unix.S_IFMT == unix.S_IFLNK:
		return object.ModeSymlink
	case mode&0o100 != 0:
		return object.ModeExec
	}
	return object.ModeFile
}

func TestDicfuseKeepsTheContract(t *testing.T) {
	runContract(t, func(t *testing.T) bench {
		store := openCache(t)
		return bench{
			layer: layer.NewDicfuse(store, "", mtime, 10, 20),
			put: func(t *testing.T, name string, w want) *tree.Node {
				if err := store.PutBytes(object.Blob, object.Sum(object.Blob, []byte(w.text)), []byte(w.text)); err != nil {
					t.Fatal(err)
				}
				return lowerNode(name, objectMode(w.mode), []byte(w.text))
			},
		}
	})
}

func TestDicfuseReportsWhatIsNotLoaded(t *testing.T) {
	d := layer.NewDicfuse(openCache(t), "", mtime, 0, 0)
	file, link := lowerNode("f", object.ModeFile, []byte("text")), lowerNode("l", object.ModeSymlink, []byte("target"))
	_, attr := d.Attr(file, file.State())
	_, read := d.ReadAt(file, file.State(), make([]byte, 4), 0)
	_, seek := d.Seek(file, file.State(), 0, unix.SEEK_DATA)
	_, source := d.Source(file, file.State())
	_, readlink := d.Readlink(link, link.State())
	for what, err := range map[string]error{"attr": attr, "read": read, "seek": seek, "source": source, "readlink": readlink} {
		if !errors.Is(err, layer.ErrNotLoaded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if a, _ := d.Attr(file, file.State()); a.Mode != unix.S_IFREG|0o644 || a.Mtime.Sec != mtime.Unix() {
		t.Errorf("what is known without the size: %+v", a)
	}
}

func TestDicfuseNeedsNothingForTheEmptyFile(t *testing.T) {
	d := layer.NewDicfuse(openCache(t), "", mtime, 0, 0)
	n := lowerNode("empty", object.ModeFile, nil)
	if a, err := d.Attr(n, n.State()); err != nil || a.Size != 0 {
		t.Errorf("%d, %v", a.Size, err)
	}
	if got, err := d.ReadAt(n, n.State(), make([]byte, 4), 0); err != nil || got != 0 {
		t.Errorf("%d, %v", got, err)
	}
	src, err := d.Source(n, n.State())
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
}

func TestDicfusePath(t *testing.T) {
	for _, tt := range []struct{ base, in, want string }{
		{"", "", ""}, {"", "a/b", "a/b"}, {"x/y", "", "x/y"}, {"x/y", "a/b", "x/y/a/b"},
	} {
		if got := layer.NewDicfuse(nil, tt.base, mtime, 0, 0).Path(tt.in); got != tt.want {
			t.Errorf("%q in %q is %q, want %q", tt.in, tt.base, got, tt.want)
		}
	}
}
