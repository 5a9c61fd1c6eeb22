package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

func TestManyReadersMakeOneFetch(t *testing.T) {
	r := newRig(t)
	ino := r.ino("a/deep/big.bin") // its size costs one request
	asked := r.origin.count("blob")
	g := r.holdUp("blob")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			p := make([]byte, 10)
			if n, err := r.fs.Read(nobodyWaits, ino, p, 16); err != nil || string(p[:n]) != "0123456789" {
				t.Errorf("%q, %v", p[:n], err)
			}
		})
	}
	<-g.arrived
	close(g.open)
	wg.Wait()
	if n := r.origin.count("blob") - asked; n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestManyLookupsMakeOneListing(t *testing.T) {
	r := newRig(t)
	a := r.ino("a")
	g := r.origin.holdUp("tree a")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, err := r.fs.Lookup(nobodyWaits, a, fmt.Sprintf("none%d", i))
			wantErr(t, "lookup", err, unix.ENOENT)
		})
	}
	<-g.arrived
	close(g.open)
	wg.Wait()
	if n := r.origin.count("tree a"); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestAFetchThatIsHeldUpHoldsUpNobodyElse(t *testing.T) {
	r := newRig(t)
	a := r.ino("a")
	g := r.origin.holdUp("tree a")
	var wg sync.WaitGroup
	for i := range 10 { // mutations and lookups that wait for one listing
		wg.Go(func() {
			if _, err := r.fs.Create(nobodyWaits, a, fmt.Sprintf("new%d", i), births["file"]); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := r.fs.Lookup(nobodyWaits, a, "deep"); err != nil {
				t.Error(err)
			}
		})
	}
	<-g.arrived
	check(t, firstError(r.write("b/new", "x"), r.rename("b/new", "top2", 0), r.unlink("top.txt"), r.chmod("c/only.txt", 0o600)))
	close(g.open)
	wg.Wait()
	if names, err := r.list("a"); err != nil || len(names) != 14 {
		t.Errorf("%v, %v", names, err)
	}
	r.wantSameAfterRemount()
}

func TestAnOriginThatFailsIsTriedAgain(t *testing.T) {
	for what, do := range map[string]func(*rig) error{
		"list":           func(r *rig) error { _, err := r.list("a/deep"); return err },
		"lookup":         func(r *rig) error { _, err := r.lookup("a/none"); return ignoring(unix.ENOENT, err) },
		"stat":           func(r *rig) error { _, err := r.lookup("top.txt"); return err },
		"read":           func(r *rig) error { _, err := r.read("a/deep/big.bin"); return err },
		"readlink":       func(r *rig) error { _, err := r.readlink("link"); return err },
		"write":          func(r *rig) error { return r.writeAt("a/deep/big.bin", "x", 0) },
		"create":         func(r *rig) error { return r.create("a/new") },
		"unlink":         func(r *rig) error { return r.unlink("a/one.txt") },
		"rename":         func(r *rig) error { return r.rename("top.txt", "a/top", 0) },
		"promote a link": func(r *rig) error { return r.chmodOrTouch("link") },
	} {
		for how, broken := range map[string]error{
			"unavailable": remote.ErrUnavailable, "not found": remote.ErrNotFound, "refused": unix.ECONNREFUSED, "no such file": unix.ENOENT,
		} {
			t.Run(what+", "+how, func(t *testing.T) {
				var log bytes.Buffer
				r := newRig(t, withLog(&log))
				r.failAll(fmt.Errorf("in the way: %w", broken))
				wantErr(t, "while it is down", do(r), ErrOrigin)
				r.origin.meet(nil)
				check(t, do(r))
				r.wantSameAfterRemount()
				check(t, r.mount.Unmount(context.Background()))
				if !strings.Contains(log.String(), "origin cannot be read") || !strings.Contains(log.String(), "in the way") {
					t.Errorf("the log does not say why: %s", log.String())
				}
			})
		}
	}
}

func TestContentThatIsNotWhatItSaysIsRefused(t *testing.T) {
	r := newRig(t)
	for path, do := range map[string]func() error{
		"top.txt":   func() error { _, err := r.read("top.txt"); return err },
		"a":         func() error { _, err := r.list("a"); return err },
		"b/one.txt": func() error { return r.writeAt("b/one.txt", "x", 0) },
	} {
		_, err := r.list("b")
		check(t, err)
		id := r.objectOf(path)
		r.origin.mu.Lock()
		good := r.origin.objects[id]
		r.origin.objects[id] = []byte("evil")
		r.origin.mu.Unlock()
		wantErr(t, path, do(), ErrOrigin)
		r.origin.mu.Lock()
		r.origin.objects[id] = good
		r.origin.mu.Unlock()
		check(t, do())
	}
}

// objectOf returns a path's object id, without asking for its size.
func (r *rig) objectOf(path string) object.ID {
	r.t.Helper()
	dir, name, err := r.split(path)
	check(r.t, err)
	n := r.fs.core.index.Find(dir)
	_, err = r.fs.table(nobodyWaits, n)
	check(r.t, err)
	e, ok := n.Table().Lookup(name)
	if !ok {
		r.t.Fatalf("%s is not there", path)
	}
	return e.Node.State().Object
}

// forgetful is a content store that keeps nothing: whatever is fetched is gone when it is looked for.
type forgetful struct{ Content }

func (forgetful) Bytes(object.ID) ([]byte, bool)                { return nil, false }
func (forgetful) ReadAt(object.ID, []byte, int64) (int, error)  { return 0, errors.New("missing") }
func (forgetful) Size(object.ID) (int64, bool)                  { return 0, false }
func (forgetful) PutBytes(object.Kind, object.ID, []byte) error { return nil }

func TestContentThatDoesNotStayIsGivenUp(t *testing.T) {
	r := newEngine(t)
	r.replaceContent(forgetful{r.store})
	check(t, r.mountAgain())
	ino := r.ino("top.txt")
	_, err := r.fs.Read(nobodyWaits, ino, make([]byte, 10), 0)
	wantErr(t, "read", err, ErrOrigin)
	wantErr(t, "write", r.writeAt("top.txt", "x", 0), ErrOrigin)
	_, err = r.readlink("link")
	wantErr(t, "readlink", err, ErrOrigin)
}

func TestMountsShareContent(t *testing.T) {
	r := newRig(t)
	r.wantText("a/one.txt", "one\n")
	asked := r.origin.count("")
	spec := r.spec()
	spec.Upper += "2"
	m, err := r.engine.Mount(context.Background(), spec)
	check(t, err)
	other := &kernel{t: t, fs: m.FS(), known: make(map[uint64]uint64)}
	other.wantText("a/one.txt", "one\n")
	if n := r.origin.count("") - asked; n != 1 { // the pin
		t.Errorf("the second mount made %d requests", n)
	}
	check(t, other.writeAt("a/one.txt", "O", 0))
	r.wantText("a/one.txt", "one\n")
	if len(r.engine.Mounts()) != 2 {
		t.Error("the engine does not list both")
	}
}
