package layer_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// want is one file that a layer holds.
type want struct {
	mode   uint32
	text   string // a file's content or a link's target
	mtime  time.Time
	source bool // content can be opened for a copy-up
}

// bench is a layer with a way to put files into it.
type bench struct {
	layer layer.Layer
	put   func(t *testing.T, name string, w want) *tree.Node
}

// contracts are what each Layer keeps, sentence by sentence.
func contracts() map[string]func(*testing.T, bench) {
	return map[string]func(*testing.T, bench){
		"it has a name":                                   named,
		"attributes are complete":                         attributes,
		"a file without a name has no link":               orphaned,
		"reads stop at the end of the file":               reads,
		"readlink gives the target, and of files EINVAL":  readlink,
		"data and holes are found":                        seeks,
		"an attribute that is not there is ENODATA":       xattrs,
		"content that can be copied up is all there":      sources,
		"many readers share a layer":                      concurrent,
		"answers do not change what was asked":            unchanged,
		"a number in an answer is the node's, not a disk": numbers,
	}
}

func runContract(t *testing.T, open func(*testing.T) bench) {
	for name, test := range contracts() {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

var mtime = time.Unix(1_700_000_000, 123_456_789)

func files() map[string]want {
	return map[string]want{
		"file":  {mode: unix.S_IFREG | 0o644, text: "0123456789"},
		"exec":  {mode: unix.S_IFREG | 0o755, text: "#!/bin/sh\n"},
		"empty": {mode: unix.S_IFREG | 0o644},
		"big":   {mode: unix.S_IFREG | 0o644, text: string(make([]byte, 300_000))},
		"link":  {mode: unix.S_IFLNK | 0o777, text: "../some/target"},
		"dir":   {mode: unix.S_IFDIR | 0o755},
	}
}

// each puts every file and calls f with it.
func each(t *testing.T, b bench, f func(t *testing.T, name string, w want, n *tree.Node)) {
	for name, w := range files() {
		w.mtime = mtime
		n := b.put(t, name, w)
		t.Run(name, func(t *testing.T) { f(t, name, w, n) })
	}
}

func named(t *testing.T, b bench) {
	if b.layer.Name() == "" {
		t.Error("for logs")
	}
}

func attributes(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, w want, n *tree.Node) {
		a, err := b.layer.Attr(n, n.State())
		if err != nil {
			t.Fatal(err)
		}
		if a.Mode != w.mode || a.UID != 10 || a.GID != 20 || a.Nlink == 0 || a.Blksize == 0 {
			t.Errorf("%+v", a)
		}
		if at := unix.NsecToTimespec(w.mtime.UnixNano()); a.Mtime != at || a.Atime.Sec == 0 || a.Ctime.Sec == 0 {
			t.Errorf("times %v %v %v, want mtime %v to the nanosecond", a.Atime, a.Mtime, a.Ctime, at)
		}
		if n.IsDir() {
			return
		}
		if a.Size != int64(len(w.text)) {
			t.Errorf("size %d, want %d", a.Size, len(w.text))
		}
		if n.Type == unix.S_IFREG && (a.Blocks*512 < a.Size || a.Blocks*512 > a.Size+8192) {
			t.Errorf("%d blocks for %d bytes: du(1) would be wrong", a.Blocks, a.Size)
		}
	})
}

func orphaned(t *testing.T, b bench) {
	n := b.put(t, "file", want{mode: unix.S_IFREG | 0o644, text: "x", mtime: mtime})
	s := *n.State()
	s.Orphan = true
	a, err := b.layer.Attr(n, &s)
	if err != nil || a.Nlink != 0 {
		t.Errorf("%d links, %v", a.Nlink, err)
	}
}

func reads(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, w want, n *tree.Node) {
		if n.Type != unix.S_IFREG {
			return
		}
		for _, off := range []int{0, 1, 4095, len(w.text) - 1, len(w.text), len(w.text) + 1, 1 << 30} {
			for _, size := range []int{0, 1, 4096, 1 << 20} {
				if off < 0 {
					continue
				}
				p := make([]byte, size)
				rest := w.text[min(off, len(w.text)):]
				rest = rest[:min(len(rest), size)]
				if got, err := b.layer.ReadAt(n, n.State(), p, int64(off)); err != nil || string(p[:got]) != rest {
					t.Errorf("%d bytes at %d: %d, %v, want %d", size, off, got, err, len(rest))
				}
			}
		}
	})
}

func readlink(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, w want, n *tree.Node) {
		target, err := b.layer.Readlink(n, n.State())
		if n.Type == unix.S_IFLNK {
			if err != nil || target != w.text {
				t.Errorf("%q, %v", target, err)
			}
		} else if !errors.Is(err, unix.EINVAL) {
			t.Errorf("%q, %v", target, err)
		}
	})
}

func seeks(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, w want, n *tree.Node) {
		if n.Type != unix.S_IFREG {
			return
		}
		size := int64(len(w.text))
		for _, whence := range []int{unix.SEEK_DATA, unix.SEEK_HOLE} {
			for _, off := range []int64{size, size + 5} {
				if at, err := b.layer.Seek(n, n.State(), off, whence); !errors.Is(err, unix.ENXIO) {
					t.Errorf("from %d: %d, %v, want ENXIO", off, at, err)
				}
			}
		}
		if size == 0 {
			return
		}
		if at, err := b.layer.Seek(n, n.State(), size/2, unix.SEEK_DATA); err != nil || at != size/2 {
			t.Errorf("data from the middle: %d, %v", at, err)
		}
		if at, err := b.layer.Seek(n, n.State(), 0, unix.SEEK_HOLE); err != nil || at != size {
			t.Errorf("the hole at the end: %d, %v, want %d", at, err, size)
		}
	})
}

func xattrs(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, _ want, n *tree.Node) {
		for _, name := range []string{"user.none", "security.capability", "trusted.overlay.antares.ino"} {
			if size, err := b.layer.Xattr(n, n.State(), name, make([]byte, 64)); !errors.Is(err, unix.ENODATA) {
				t.Errorf("%s: %d, %v", name, size, err)
			}
		}
		if names, err := b.layer.Xattrs(n, n.State()); err != nil || len(names) > 0 {
			t.Errorf("%q, %v", names, err)
		}
	})
}

func sources(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, w want, n *tree.Node) {
		if n.Type != unix.S_IFREG || !w.source && b.layer.Name() == "upper" {
			return // nothing is copied up from upper
		}
		src, err := b.layer.Source(n, n.State())
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		got, err := io.ReadAll(io.NewSectionReader(src, 0, 1<<30))
		if err != nil || string(got) != w.text {
			t.Errorf("%d bytes, %v, want %d", len(got), err, len(w.text))
		}
	})
}

func concurrent(t *testing.T, b bench) {
	nodes := make(map[string]*tree.Node)
	for name, w := range files() {
		w.mtime = mtime
		nodes[name] = b.put(t, name, w)
	}
	done := make(chan error)
	for range 4 {
		go func() {
			var errs []error
			for range 100 {
				for name, n := range nodes {
					a, err := b.layer.Attr(n, n.State())
					if err == nil && a.Mode != files()[name].mode {
						err = errors.New(name + ": wrong attributes")
					}
					errs = append(errs, err)
					if n.Type == unix.S_IFREG {
						_, err = b.layer.ReadAt(n, n.State(), make([]byte, 100), 0)
						errs = append(errs, err)
					}
				}
			}
			done <- errors.Join(errs...)
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func unchanged(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, _ want, n *tree.Node) {
		s, at := n.State(), n.Place()
		before := *s
		_, _ = b.layer.Attr(n, s)
		_, _ = b.layer.ReadAt(n, s, make([]byte, 10), 0)
		_, _ = b.layer.Xattrs(n, s)
		if *s != before || n.State() != s || n.Place() != at {
			t.Error("reading published something")
		}
	})
}

func numbers(t *testing.T, b bench) {
	each(t, b, func(t *testing.T, _ string, _ want, n *tree.Node) {
		if a, err := b.layer.Attr(n, n.State()); err != nil || a.Ino != n.Ino {
			t.Errorf("%d, %v, want %d", a.Ino, err, n.Ino)
		}
	})
}
