package layer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// shelf is an upper layer with its directory.
type shelf struct {
	*layer.Passthrough
	dir  string
	root *tree.Node
}

func openShelf(t *testing.T) *shelf {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "upper")
	store, err := upper.Open(upper.Config{Upper: dir, Work: dir + ".work", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := layer.NewPassthrough(store)
	t.Cleanup(func() {
		p.Close()
		store.Close()
		if n := store.OpenFiles(); n != 0 {
			t.Errorf("%d descriptors are open after Close", n)
		}
	})
	root := tree.NewNode(tree.RootIno, nil, unix.S_IFDIR, tree.Place{}, tree.State{Where: tree.Upper, UpperIno: store.Root().Ino()})
	return &shelf{Passthrough: p, dir: dir, root: root}
}

// create makes a file in dir with this content and returns its node, without a cached descriptor.
func (s *shelf) create(t *testing.T, dir *tree.Node, name string, w want) *tree.Node {
	t.Helper()
	d, err := s.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	f, _, err := s.Store.Create(d, name, upper.Birth{Mode: w.mode, Target: w.text, UID: 10, GID: 20})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	if w.mode&unix.S_IFMT == unix.S_IFREG {
		if _, err := f.WriteAt([]byte(w.text), 0); err != nil {
			t.Fatal(err)
		}
	}
	at := unix.NsecToTimespec(w.mtime.UnixNano())
	if err := f.Utimes(at, at); err != nil {
		t.Fatal(err)
	}
	return tree.NewNode(tree.UpperIno(f.Ino()), nil, w.mode, tree.Place{Parent: dir, Name: name}, tree.State{Where: tree.Upper, UpperIno: f.Ino()})
}

func TestPassthroughKeepsTheContract(t *testing.T) {
	runContract(t, func(t *testing.T) bench {
		s := openShelf(t)
		return bench{layer: s, put: func(t *testing.T, name string, w want) *tree.Node { return s.create(t, s.root, name, w) }}
	})
}

func TestPassthroughOpensByPath(t *testing.T) {
	s := openShelf(t)
	dir := want{mode: unix.S_IFDIR | 0o755, mtime: mtime}
	a := s.create(t, s.root, "a", dir)
	b := s.create(t, a, "b", dir)
	n := s.create(t, b, "file", want{mode: unix.S_IFREG | 0o600, text: "deep", mtime: mtime})
	p := make([]byte, 10)
	for range 2 { // by path, then by the cached descriptor
		if got, err := s.ReadAt(n, n.State(), p, 0); err != nil || string(p[:got]) != "deep" {
			t.Fatalf("%q, %v", p[:got], err)
		}
	}
	s.Drop(n)
	s.Drop(b)
	if _, err := s.Attr(n, n.State()); err != nil {
		t.Error(err)
	}
}

func TestPassthroughNeverTakesAnotherFile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"another file is in its place": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"it is gone":                   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			s := openShelf(t)
			n := s.create(t, s.root, "file", want{mode: unix.S_IFREG | 0o600, text: "x", mtime: mtime})
			if err := os.WriteFile(s.dir+"/held", nil, 0o600); err != nil { // so that the number is not used again at once
				t.Fatal(err)
			}
			path := s.dir + "/file"
			if err := os.Link(path, s.dir+"/spare"); err != nil {
				t.Fatal(err)
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			_, attr := s.Attr(n, n.State())
			_, read := s.ReadAt(n, n.State(), make([]byte, 1), 0)
			for _, err := range []error{attr, read} {
				if !errors.Is(err, layer.ErrLost) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%v, want ErrLost: a name that is listed must not turn out absent", err)
				}
			}
		})
	}
}

func TestPassthroughAttributesOfDirectories(t *testing.T) {
	s := openShelf(t)
	dir := s.create(t, s.root, "dir", want{mode: unix.S_IFDIR | 0o755, mtime: mtime})
	s.create(t, dir, "sub", want{mode: unix.S_IFDIR | 0o755, mtime: mtime})
	if a, err := s.Attr(dir, dir.State()); err != nil || a.Nlink != 3 {
		t.Errorf("a pure directory has %d links, %v", a.Nlink, err)
	}
	st := *dir.State()
	st.Object = object.ID{1}
	if a, err := s.Attr(dir, &st); err != nil || a.Nlink != 1 {
		t.Errorf("a merged one has %d links, %v: 1 means unknown to find(1)", a.Nlink, err)
	}
	if a, err := s.Attr(s.root, s.root.State()); err != nil || a.Nlink != 1 || a.Ino != tree.RootIno {
		t.Errorf("the root: %+v, %v", a, err)
	}
}

// A file is opened by its path while it moves to and fro; no attempt may take the moment between two places for a loss.
func TestPassthroughOpensWhileFilesMove(t *testing.T) {
	s := openShelf(t)
	n := s.create(t, s.root, "a", want{mode: unix.S_IFREG | 0o600, text: "text", mtime: mtime})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		names := [2]string{"a", "b"}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			end := s.Moves.Begin()
			from, to := names[i%2], names[(i+1)%2]
			if err := s.Store.Rename(upper.Move{From: s.Store.Root(), To: s.Store.Root(), OldName: from, NewName: to}); err != nil {
				t.Error(err)
			}
			n.SetPlace(tree.Place{Parent: s.root, Name: to})
			end()
		}
	})
	for range 3000 {
		if _, err := s.ReadAt(n, n.State(), make([]byte, 4), 0); err != nil {
			t.Error(err)
			break
		}
		if _, err := s.Attr(n, n.State()); err != nil {
			t.Error(err)
			break
		}
		s.Drop(n)
	}
	close(stop)
	wg.Wait()
}

func TestPassthroughBoundsItsDescriptors(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 128, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	s := openShelf(t)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		n := s.create(t, s.root, fmt.Sprint(i), want{mode: unix.S_IFREG | 0o600, mtime: mtime})
		if _, err := s.ReadAt(n, n.State(), make([]byte, 1), 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Store.OpenFiles(); n > 64+4 {
		t.Errorf("%d descriptors, want at most half of 128 and the store's own", n)
	}
}

func TestPassthroughOrphans(t *testing.T) {
	s := openShelf(t)
	n := s.create(t, s.root, "a", want{mode: unix.S_IFREG | 0o600, text: "text", mtime: mtime})
	if err := s.Store.Orphan(s.Store.Root(), "a", n.Ino, false); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4) // a removal that was cut short before it was published
	if got, err := s.ReadAt(n, n.State(), p, 0); err != nil || string(p[:got]) != "text" {
		t.Errorf("%q, %v", p[:got], err)
	}
	s.Drop(n)
	st := *n.State()
	st.Orphan = true
	n.SetState(st)
	if a, err := s.Attr(n, n.State()); err != nil || a.Nlink != 0 {
		t.Errorf("%d links, %v", a.Nlink, err)
	}
}

func TestPassthroughIsNoSource(t *testing.T) {
	s := openShelf(t)
	if _, err := s.Source(s.root, s.root.State()); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("%v: nothing is copied up from upper", err)
	}
}

// TestPassthroughDoesNotCountItsOwnLink: the kernel has let go of a file that lost the name it was opened by, and finds it by
// another one before the work directory has.
func TestPassthroughDoesNotCountItsOwnLink(t *testing.T) {
	s := openShelf(t)
	n := s.create(t, s.root, "a", want{mode: unix.S_IFREG | 0o600, text: "text", mtime: mtime})
	if err := os.Link(filepath.Join(s.dir, "a"), filepath.Join(s.dir, "b")); err != nil {
		t.Fatal(err)
	}
	other := tree.NewNode(n.Ino, nil, n.Type, tree.Place{Parent: s.root, Name: "b"}, *n.State())
	for _, step := range []struct {
		what  string
		do    func() error
		links uint32
	}{
		{"two names", func() error { return nil }, 2},
		{"one of them in the work directory", func() error { return s.Store.Orphan(s.Store.Root(), "a", n.Ino, false) }, 1},
		{"reaped", func() error { return s.Store.Reap(n.Ino, n.Type) }, 1},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if a, err := s.Attr(other, other.State()); err != nil || a.Nlink != step.links {
			t.Errorf("%s: %d links, %v, want %d", step.what, a.Nlink, err, step.links)
		}
	}
}
