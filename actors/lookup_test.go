package actors

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestTheCorpusShows(t *testing.T) {
	r := newRig(t)
	for path, f := range corpus() {
		if f.mode == 0o160000 {
			continue
		}
		if f.mode == 0o120000 {
			if target, err := r.readlink(path); err != nil || target != f.text {
				t.Errorf("%s leads to %q, %v", path, target, err)
			}
			continue
		}
		r.wantText(path, f.text)
	}
	want := []string{"a", "b", "c", "empty", "link", "run.sh", "sub", "top.txt"}
	if names, err := r.list(""); err != nil || !slices.Equal(names, want) {
		t.Errorf("%v, %v", names, err)
	}
	if names, err := r.list("sub"); err != nil || len(names) > 0 {
		t.Errorf("a submodule lists %v, %v", names, err)
	}
}

func TestAttributesOfLowerFiles(t *testing.T) {
	r := newRig(t)
	for path, want := range map[string]tree.Attr{
		"top.txt": {Mode: unix.S_IFREG | 0o644, Size: 4, Nlink: 1, Blocks: 1},
		"run.sh":  {Mode: unix.S_IFREG | 0o755, Size: 10, Nlink: 1, Blocks: 1},
		"link":    {Mode: unix.S_IFLNK | 0o777, Size: 9, Nlink: 1, Blocks: 1},
		"empty":   {Mode: unix.S_IFREG | 0o644, Nlink: 1},
		"a":       {Mode: unix.S_IFDIR | 0o755, Size: 4096, Nlink: 1, Blocks: 8},
		"sub":     {Mode: unix.S_IFDIR | 0o755, Size: 4096, Nlink: 1, Blocks: 8},
	} {
		want.Ino, want.UID, want.GID, want.Blksize = tree.LowerIno(path), 7, 8, 4096
		want.Mtime = unix.Timespec{Sec: commitTime.Unix()}
		want.Atime, want.Ctime = want.Mtime, want.Mtime
		if got, err := r.lookup(path); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", path, got, err, want)
		}
		if got, err := r.fs.Getattr(nobodyWaits, want.Ino); err != nil || got != want {
			t.Errorf("getattr %s: %+v, %v", path, got, err)
		}
	}
}

func TestTheMountIsLazy(t *testing.T) {
	r := newRig(t)
	if n := r.origin.count(""); n != 2 { // the commit and the root
		t.Errorf("mounting asked the origin %d times: %v", n, r.origin.asked)
	}
	r.wantText("a/deep/x/y.txt", "y\n")
	if n := r.origin.count("tree a"); n != 3 || r.origin.count("blob") != 1 || r.origin.count("") != 6 {
		t.Errorf("reading one file asked for %v", r.origin.asked)
	}
	before := r.origin.count("")
	r.wantText("a/deep/x/y.txt", "y\n")
	if _, err := r.lookup("a/none"); err == nil {
		t.Error("found what is not there")
	}
	if r.origin.count("") != before {
		t.Errorf("what is known was asked for again: %v", r.origin.asked)
	}
}

func TestASizeIsLearntOnceAndWithoutTheContentOfLargeFiles(t *testing.T) {
	r := newRig(t)
	for range 3 {
		if a, err := r.lookup("a/deep/big.bin"); err != nil || a.Size != 640_000 {
			t.Fatalf("%d, %v", a.Size, err)
		}
		for r.fs.core.index.Find(tree.LowerIno("a/deep/big.bin")).State().Size < 0 { // recorded after the answer
			runtime.Gosched()
		}
	}
	if n := r.origin.count("blob"); n != 1 {
		t.Errorf("%d requests", n)
	}
	waitFor(t, "the end of the request", func() bool { return r.mount.Stats().Demand.Blobs == 1 })
	if _, ok := r.store.Size(r.node("a/deep/big.bin").State().Object); ok || r.mount.Stats().Demand.Bytes >= 640_000 {
		t.Error("a stat fetched the content of a large file")
	}
}

func TestLookupErrors(t *testing.T) {
	r := newRig(t)
	for what, tt := range map[string]struct {
		parent uint64
		name   string
		want   error
	}{
		"a name that is not there":    {tree.RootIno, "none", unix.ENOENT},
		"a name that is too long":     {tree.RootIno, strings.Repeat("n", 256), unix.ENAMETOOLONG},
		"a name in a file":            {r.ino("top.txt"), "x", unix.ENOTDIR},
		"a name in an unknown number": {12345, "x", ErrStale},
	} {
		_, err := r.fs.Lookup(nobodyWaits, tt.parent, tt.name)
		wantErr(t, what, err, tt.want)
	}
	if err := r.fs.Readdir(nobodyWaits, r.ino("top.txt"), Cursor{}, nil); err == nil {
		t.Error("a file was listed")
	}
}

// TestUnknownNumbersAreStale calls each method with a number that the kernel was never given.
func TestUnknownNumbersAreStale(t *testing.T) {
	r := newRig(t)
	const ino = 424242
	_, getattr := r.fs.Getattr(nobodyWaits, ino)
	_, read := r.fs.Read(nobodyWaits, ino, nil, 0)
	_, readlink := r.fs.Readlink(nobodyWaits, ino)
	_, write := r.fs.Write(nobodyWaits, ino, nil, 0, false)
	_, seek := r.fs.Seek(nobodyWaits, ino, 0, unix.SEEK_DATA)
	_, setattr := r.fs.Setattr(nobodyWaits, ino, AttrChange{})
	_, link := r.fs.Link(nobodyWaits, ino, tree.RootIno, "x")
	_, linkTo := r.fs.Link(nobodyWaits, r.ino("top.txt"), ino, "x")
	_, temp := r.fs.CreateTemp(nobodyWaits, ino, births["file"])
	_, create := r.fs.Create(nobodyWaits, ino, "x", births["file"])
	_, xattr := r.fs.Xattr(nobodyWaits, ino, "user.x", nil)
	_, xattrs := r.fs.Xattrs(nobodyWaits, ino)
	_, copyFrom := r.fs.CopyRange(nobodyWaits, ino, 0, r.ino("top.txt"), 0, 1)
	for what, err := range map[string]error{
		"getattr": getattr, "read": read, "readlink": readlink, "write": write, "seek": seek, "setattr": setattr, "link": link,
		"link to": linkTo, "create temp": temp, "create": create, "xattr": xattr, "xattrs": xattrs, "copy": copyFrom,
		"readdir":     r.fs.Readdir(nobodyWaits, ino, Cursor{}, nil),
		"allocate":    r.fs.Allocate(nobodyWaits, ino, 0, 0, 1),
		"sync":        r.fs.Sync(nobodyWaits, ino, false),
		"remove":      r.fs.Remove(nobodyWaits, ino, "x", false),
		"rename from": r.fs.Rename(nobodyWaits, ino, "x", tree.RootIno, "y", 0),
		"rename to":   r.fs.Rename(nobodyWaits, tree.RootIno, "top.txt", ino, "y", 0),
		"setxattr":    r.fs.SetXattr(nobodyWaits, ino, "user.x", nil, 0, false),
	} {
		wantErr(t, what, err, ErrStale)
	}
	r.fs.Forget(ino, 1) // nothing happens
	if path, _, _ := r.fs.Path(ino); path != "?" {
		t.Errorf("its path is %q", path)
	}
	if _, ok := r.fs.LookupKnown(nobodyWaits, ino, "x", true); ok {
		t.Error("found below it")
	}
}

func TestReaddir(t *testing.T) {
	r := newRig(t)
	a := r.ino("a")
	var all []DirEntry
	for from, more := (Cursor{}), true; more; {
		more = false
		check(t, r.fs.Readdir(nobodyWaits, a, from, func(e DirEntry) bool { // one a call, as with a tiny buffer
			all, from, more = append(all, e), e.Next, true
			return false
		}))
	}
	if len(all) != 6 || all[0].Name != "." || all[0].Ino != a || all[5].Name != ".." || all[5].Ino != tree.RootIno {
		t.Fatalf("%+v", all)
	}
	for _, e := range all[1:5] {
		if e.Ino != tree.LowerIno("a/"+e.Name) || e.Type == 0 {
			t.Errorf("%+v", e)
		}
	}
	check(t, r.fs.Readdir(nobodyWaits, tree.RootIno, Cursor{Cookie: tree.DotDotCookie - 1}, func(e DirEntry) bool {
		if e.Name != ".." || e.Ino != tree.RootIno {
			t.Errorf("the root's parent is %+v", e)
		}
		return false
	}))
}

func TestLookupKnownNeverWaits(t *testing.T) {
	r := newRig(t)
	g := r.origin.holdUp("")
	defer close(g.open)
	if _, ok := r.fs.LookupKnown(nobodyWaits, tree.RootIno, "top.txt", true); ok {
		t.Error("knows a directory that is not loaded")
	}
	if _, err := r.fs.Lookup(nobodyWaits, tree.RootIno, "none"); err == nil { // loads the root from the content store
		t.Error("found")
	}
	if _, ok := r.fs.LookupKnown(nobodyWaits, tree.RootIno, "top.txt", true); ok {
		t.Error("knows a size that nobody has asked for")
	}
	if _, ok := r.fs.LookupKnown(nobodyWaits, tree.RootIno, "none", true); ok {
		t.Error("knows a name that is not there")
	}
	a, ok := r.fs.LookupKnown(nobodyWaits, tree.RootIno, "empty", true)
	if !ok || a.Ino != tree.LowerIno("empty") {
		t.Errorf("%+v, %v", a, ok)
	}
	r.fs.Forget(a.Ino, 1)
	if n := r.fs.core.index.Len(); n != 1 {
		t.Errorf("%d numbers are known, want the root's alone", n)
	}
}

// TestForget: the kernel knows a number until it has given back each lookup that was counted, and not one less, whatever became
// of the name.
func TestForget(t *testing.T) {
	for name, opts := range map[string][]option{"without a journal": nil, "with one": {withSession}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, opts...)
			check(t, firstError(r.write("made", "made"), r.write("unlinked", "unlinked")))
			for range 3 {
				r.wantText("a/one.txt", "one\n")
				r.wantText("made", "made")
			}
			inos := map[string]uint64{"one\n": r.ino("a/one.txt"), "made": r.ino("made"), "unlinked": r.ino("unlinked")}
			check(t, r.unlink("unlinked"))
			for text, ino := range inos {
				r.wantKnownToTheLast(ino, text)
			}
			r.forgetAll()
			if n := r.fs.core.index.Len(); n != 1 {
				t.Errorf("%d numbers are known, want the root's alone", n)
			}
			r.orphansBecome(0)
			for path, ino := range map[string]uint64{"a/one.txt": inos["one\n"], "made": inos["made"]} {
				if again := r.ino(path); again != ino {
					t.Errorf("%s: number %d became %d", path, ino, again)
				}
			}
		})
	}
}

// wantKnownToTheLast gives back the lookups of a file one by one. Until the last one it can be read by its number.
func (k *kernel) wantKnownToTheLast(ino uint64, text string) {
	k.t.Helper()
	for ; k.known[ino] > 0; k.known[ino]-- {
		p := make([]byte, 20)
		if n, err := k.fs.Read(nobodyWaits, ino, p, 0); err != nil || string(p[:n]) != text {
			k.t.Errorf("%q reads %q, %v while %d lookups are left", text, p[:n], err, k.known[ino])
		}
		k.fs.Forget(ino, 1)
	}
	_, err := k.fs.Getattr(nobodyWaits, ino)
	wantErr(k.t, "a forgotten number", err, ErrStale)
}

func TestForgetClosesTheDescriptor(t *testing.T) {
	r := newRig(t)
	before := r.mount.Stats().OpenFiles
	for i := range 20 {
		check(t, r.write(fmt.Sprintf("f%d", i), "x"))
	}
	if n := r.mount.Stats().OpenFiles; n < before+20 {
		t.Errorf("%d open files, want them cached", n-before)
	}
	r.forgetAll()
	if n := r.mount.Stats().OpenFiles; n != before {
		t.Errorf("%d open files were %d", n, before)
	}
}

func TestPathForLogs(t *testing.T) {
	r := newRig(t)
	ino := r.ino("a/one.txt")
	path, owner, layer := r.fs.Path(ino)
	if path != "/a/one.txt" || owner != r.fs.core.index.Find(ino).Owner.ID || layer != "dicfuse" {
		t.Errorf("%s, %d, %s", path, owner, layer)
	}
	check(t, r.writeAt("a/one.txt", "x", 0))
	if _, _, layer := r.fs.Path(ino); layer != "upper" {
		t.Errorf("after the copy-up: %s", layer)
	}
}

// TestAStreamKeepsItsVersion: what the kernel cached of a listing that began before a change must not serve as the rest of
// one that began after it, so no position may be in both; and a stream goes on from its own positions through changes.
func TestAStreamKeepsItsVersion(t *testing.T) {
	r := newRig(t)
	positions := func(from Cursor) (all []Cursor) {
		check(t, r.fs.Readdir(nobodyWaits, tree.RootIno, from, func(e DirEntry) bool {
			all = append(all, e.Next)
			return true
		}))
		return all
	}
	before := positions(Cursor{})
	check(t, r.create("made"))
	for _, p := range positions(Cursor{}) {
		if slices.Contains(before, p) {
			t.Errorf("position %x is in the listings before and after the change", p)
		}
	}
	rest := positions(before[2])
	if kept := before[3:]; len(rest) < len(kept) || len(rest) > len(kept)+1 {
		t.Errorf("the stream goes on with %x; before the change with %x", rest, kept)
	}
	for _, p := range before[3:] {
		if !slices.Contains(rest, p) {
			t.Errorf("position %x is gone from its stream", p)
		}
	}
}
