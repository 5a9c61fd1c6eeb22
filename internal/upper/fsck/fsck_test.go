package fsck_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
	"github.com/antares-actor/antares-actor/internal/upper/fsck"
)

// tree is an upper with its work directory and a lower layer, below one directory.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T) *tree {
	x := &tree{t: t, dir: t.TempDir()}
	x.mkdir("upper.work/tmp", "upper.work/orphans", "upper.work/links", "lower/there/deep", "upper/there")
	x.file("upper.work/lock", "lower/there/file", "upper/new", "upper/there/file")
	x.mark("upper/there/file", "antares.ino", number(7))
	return x
}

// number is an inode number's mark.
func number(n byte) string { return string([]byte{n, 0, 0, 0, 0, 0, 0, 0x40}) }

func (x *tree) path(name string) string { return filepath.Join(x.dir, name) }

func (x *tree) mkdir(names ...string) {
	for _, name := range names {
		x.check(os.MkdirAll(x.path(name), 0o755))
	}
}

func (x *tree) file(names ...string) {
	for _, name := range names {
		x.check(os.WriteFile(x.path(name), []byte(name), 0o644))
	}
}

func (x *tree) whiteout(names ...string) {
	for _, name := range names {
		x.check(unix.Mknod(x.path(name), unix.S_IFCHR, 0))
	}
}

func (x *tree) mark(name, mark, value string) {
	x.check(unix.Lsetxattr(x.path(name), "trusted.overlay."+mark, []byte(value), 0))
}

func (x *tree) born(name string) int64 {
	var sx unix.Statx_t
	x.check(unix.Statx(unix.AT_FDCWD, x.path(name), 0, unix.STATX_BTIME, &sx))
	return sx.Btime.Sec*1e9 + int64(sx.Btime.Nsec)
}

func (x *tree) check(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// fsck checks the tree, over its lower layer if lower, and returns the problems as "kind path".
func (x *tree) fsck(cfg fsck.Config, lower bool) (*fsck.Report, []string) {
	x.t.Helper()
	cfg.Upper = x.path("upper")
	if lower {
		cfg.Lower = []string{x.path("lower")}
	}
	r, err := fsck.Check(cfg)
	x.check(err)
	var said []string
	for _, p := range r.Problems {
		said = append(said, string(p.Kind)+" "+strings.TrimPrefix(p.Path, x.dir+"/"))
		if p.Text == "" || p.Kind != fsck.Note && p.Remedy == "" {
			x.t.Errorf("%+v: no text or no remedy", p)
		}
	}
	return r, said
}

type damage struct {
	lower bool // the lower layer is told
	make  func(x *tree)
	found []string
	left  []string // after a repair; nil is nothing
}

func damages() map[string]damage {
	redirectTo := func(to string) func(x *tree) {
		return func(x *tree) { x.mkdir("upper/moved"); x.mark("upper/moved", "redirect", to) }
	}
	bad := []string{"redirect upper/moved"}
	malformed := []string{"bad-mark upper/moved"}
	return map[string]damage{
		"nothing": {make: func(*tree) {}},
		"an unfinished copy": {
			make:  func(x *tree) { x.file("upper.work/tmp/1f"); x.mkdir("upper.work/tmp/20/deep") },
			found: []string{"leftover upper.work/tmp/1f", "leftover upper.work/tmp/20"},
		},
		"a deleted file": {
			make:  func(x *tree) { x.file("upper.work/orphans/4000000000000001") },
			found: []string{"leftover upper.work/orphans/4000000000000001"},
		},
		"an unfinished copy of the kernel's": {
			make: func(x *tree) { x.mkdir("upper.work/work/#1", "upper.work/index") }, found: []string{"leftover upper.work/work/#1"},
		},
		"a link left behind by a link": { // nothing outside may be touched
			make: func(x *tree) { x.check(os.Symlink(x.path("lower"), x.path("upper.work/tmp/2"))) }, found: []string{"leftover upper.work/tmp/2"},
		},
		"an unknown name in the work directory": {
			make: func(x *tree) { x.file("upper.work/what") }, found: []string{"note upper.work/what"}, left: []string{"note upper.work/what"},
		},
		"a volatile mount that was killed": {
			make:  func(x *tree) { x.mkdir("upper.work/work/incompat/volatile") },
			found: []string{"volatile upper.work/work/incompat/volatile"}, left: []string{"volatile upper.work/work/incompat/volatile"},
		},
		"an unknown feature": {
			make:  func(x *tree) { x.mkdir("upper.work/work/incompat/new") },
			found: []string{"incompatible upper.work/work/incompat/new"}, left: []string{"incompatible upper.work/work/incompat/new"},
		},
		"a whiteout in a merged directory":    {lower: true, make: func(x *tree) { x.whiteout("upper/there/gone") }},
		"a whiteout, the lower layer unknown": {make: func(x *tree) { x.mkdir("upper/own"); x.whiteout("upper/own/gone") }},
		"a whiteout in a directory of upper's own": {
			lower: true, make: func(x *tree) { x.mkdir("upper/own/deep"); x.whiteout("upper/own/deep/gone") },
			found: []string{"whiteout upper/own/deep/gone"},
		},
		"a whiteout in an opaque directory": {
			make: func(x *tree) {
				x.mkdir("upper/there/o/deep")
				x.mark("upper/there/o", "opaque", "y")
				x.whiteout("upper/there/o/gone", "upper/there/o/deep/gone")
			},
			found: []string{"whiteout upper/there/o/deep/gone", "whiteout upper/there/o/gone"},
		},
		"a whiteout in what was moved into an opaque directory": {
			lower: true, make: func(x *tree) {
				x.mkdir("upper/o/moved")
				x.mark("upper/o", "opaque", "y")
				x.mark("upper/o/moved", "redirect", "/there")
				x.whiteout("upper/o/moved/file")
			},
		},
		"a whiteout where other whiteouts may be": {
			make: func(x *tree) { x.mark("upper/there", "opaque", "x"); x.whiteout("upper/there/gone") },
		},
		"a redirect that leads nowhere":       {lower: true, make: redirectTo("/nowhere"), found: bad, left: bad},
		"a redirect to a file":                {lower: true, make: redirectTo("/there/file"), found: bad, left: bad},
		"a name that is nowhere":              {lower: true, make: redirectTo("nowhere"), found: bad, left: bad},
		"a redirect, the lower layer unknown": {make: redirectTo("/nowhere")},
		"a good redirect":                     {lower: true, make: redirectTo("/there/deep")},
		"a good name":                         {lower: true, make: redirectTo("there")},
		"an empty redirect":                   {make: redirectTo(""), found: malformed, left: malformed},
		"a redirect to the root":              {make: redirectTo("/"), found: malformed, left: malformed},
		"a redirect out of the layer":         {make: redirectTo("/there/../../etc"), found: malformed, left: malformed},
		"a name out of the layer":             {make: redirectTo(".."), found: malformed, left: malformed},
		"a name that is a path":               {make: redirectTo("a/b"), found: malformed, left: malformed},
		"a redirect with a hole":              {make: redirectTo("/a//b"), found: malformed, left: malformed},
		"two redirects to one directory": {
			make: func(x *tree) {
				redirectTo("/there/deep")(x)
				x.mkdir("upper/second")
				x.mark("upper/second", "redirect", "/there/deep")
			},
			found: []string{"note upper/second"}, left: []string{"note upper/second"},
		},
		"an opaque mark that means nothing": {
			make: func(x *tree) { x.mark("upper/there", "opaque", "yes") }, found: []string{"bad-mark upper/there"},
		},
		"a mark of upper itself": {
			make: func(x *tree) { x.mark("upper", "opaque", "yes"); x.mark("upper", "impure", "y") }, found: []string{"bad-mark upper"},
		},
		"the work directory of the kernel's that was given as it is": {
			make:  func(x *tree) { x.mkdir("upper.work/incompat/volatile") },
			found: []string{"volatile upper.work/incompat/volatile"}, left: []string{"volatile upper.work/incompat/volatile"},
		},
		"an opaque file":     {make: func(x *tree) { x.mark("upper/new", "opaque", "y") }, found: []string{"bad-mark upper/new"}},
		"a number too short": {make: func(x *tree) { x.mark("upper/new", "antares.ino", "1234567") }, found: []string{"bad-mark upper/new"}},
		"a number of upper's": {
			make: func(x *tree) { x.mark("upper/new", "antares.ino", "\x01\x00\x00\x00\x00\x00\x00\x20") }, found: []string{"bad-mark upper/new"},
		},
		"a link count too long":  {make: func(x *tree) { x.mark("upper/new", "antares.links", "12345") }, found: []string{"bad-mark upper/new"}},
		"an attribute of others": {make: func(x *tree) { x.mark("upper/new", "metacopy", ""); x.mark("upper/new", "origin", "?") }},
		"an unknown attribute": {
			make: func(x *tree) { x.mark("upper/new", "novel", "") }, found: []string{"note upper/new"}, left: []string{"note upper/new"},
		},
		"an escaped attribute": {make: func(x *tree) { x.mark("upper/there", "overlay.opaque", "?") }},
		"a copy of a file": {
			make: func(x *tree) {
				for x.file("upper/a"); x.born("upper/a") <= x.born("upper/there/file"); x.file("upper/a") {
					x.check(os.Remove(x.path("upper/a")))
				}
				x.mark("upper/a", "antares.ino", number(7))
			},
			found: []string{"shared-number upper/a"},
		},
		"a hard link": {make: func(x *tree) { x.check(os.Link(x.path("upper/there/file"), x.path("upper/a"))) }},
		"what users have in the other name space": {
			make: func(x *tree) { x.check(unix.Lsetxattr(x.path("upper/there"), "user.overlay.opaque", []byte("?"), 0)) },
		},
	}
}

func TestCheckAndRepair(t *testing.T) {
	for name, d := range damages() {
		t.Run(name, func(t *testing.T) {
			x := newTree(t)
			d.make(x)
			_, got := x.fsck(fsck.Config{}, d.lower)
			if !slices.Equal(got, d.found) {
				t.Errorf("found %q, want %q", got, d.found)
			}
			if _, again := x.fsck(fsck.Config{}, d.lower); !slices.Equal(again, d.found) {
				t.Errorf("without repair %q became %q", got, again)
			}
			r, _ := x.fsck(fsck.Config{Repair: true}, d.lower)
			found, repaired := r.Found()
			if _, left := x.fsck(fsck.Config{}, d.lower); !slices.Equal(left, d.left) || repaired != len(d.found)-len(d.left) || found < repaired {
				t.Errorf("repaired %d of %d, left %q, want %q", repaired, found, left, d.left)
			}
			for _, name := range []string{"lower/there/file", "upper/there/file", "upper/new"} {
				if b, err := os.ReadFile(x.path(name)); err != nil || string(b) != name {
					t.Errorf("%s: %q, %v", name, b, err)
				}
			}
		})
	}
}

func TestMarksOfAnUnprivilegedMount(t *testing.T) {
	x := newTree(t)
	x.check(unix.Lremovexattr(x.path("upper/there/file"), "trusted.overlay.antares.ino"))
	x.check(unix.Lsetxattr(x.path("upper/there"), "user.overlay.opaque", []byte("y"), 0))
	x.whiteout("upper/there/gone")
	if _, got := x.fsck(fsck.Config{}, false); !slices.Equal(got, []string{"whiteout upper/there/gone"}) {
		t.Errorf("found %q", got)
	}
}

// TestTheWorkDirectoryTellsWhoseMarksCount: an overlay in the mount, run without root, has its marks in the name space of users.
func TestTheWorkDirectoryTellsWhoseMarksCount(t *testing.T) {
	x := newTree(t)
	x.check(unix.Lremovexattr(x.path("upper/there/file"), "trusted.overlay.antares.ino")) // ours have left no mark in upper
	s, err := upper.Open(upper.Config{Upper: x.path("upper"), Work: x.path("upper.work"), Log: slog.New(slog.DiscardHandler)})
	x.check(err)
	s.Close()
	x.check(unix.Lsetxattr(x.path("upper/there"), "user.overlay.redirect", []byte("/elsewhere"), 0))
	x.check(unix.Lsetxattr(x.path("upper/there/file"), "user.overlay.opaque", []byte("?"), 0))
	if _, got := x.fsck(fsck.Config{Repair: true}, true); len(got) > 0 {
		t.Errorf("found %q", got)
	}
}

func TestAnUpperThatIsInUseIsRefused(t *testing.T) {
	x := newTree(t)
	s, err := upper.Open(upper.Config{Upper: x.path("upper"), Work: x.path("upper.work"), Log: slog.New(slog.DiscardHandler)})
	x.check(err)
	if _, err := fsck.Check(fsck.Config{Upper: x.path("upper")}); !errors.Is(err, upper.ErrInUse) || !strings.Contains(err.Error(), x.path("upper")) {
		t.Errorf("%v", err)
	}
	x.mkdir("other")
	if _, err := fsck.Check(fsck.Config{Upper: x.path("other"), Work: x.path("upper.work")}); !errors.Is(err, upper.ErrInUse) {
		t.Errorf("its work directory: %v", err)
	}
	s.Close()
	x.fsck(fsck.Config{}, false)
	x.mkdir("mnt point")
	x.check(unix.Mount("overlay", x.path("mnt point"), "overlay", 0,
		fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", x.path("lower"), x.path("upper"), x.path("upper.work"))))
	_, err = fsck.Check(fsck.Config{Upper: x.path("upper")})
	x.check(unix.Unmount(x.path("mnt point"), 0))
	if !errors.Is(err, upper.ErrInUse) || !strings.Contains(err.Error(), x.path("mnt point")) {
		t.Errorf("mounted by the kernel: %v", err)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	x := newTree(t)
	for _, cfg := range []fsck.Config{
		{Upper: x.path("none")}, {Upper: x.path("upper/new")}, {Upper: x.path("upper"), Work: x.path("none")},
		{Upper: x.path("upper"), Lower: []string{x.path("none")}},
	} {
		if _, err := fsck.Check(cfg); err == nil || errors.Is(err, upper.ErrInUse) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	x.check(os.RemoveAll(x.path("upper.work")))
	if _, got := x.fsck(fsck.Config{}, false); !slices.Equal(got, []string{"note upper.work"}) {
		t.Errorf("without a work directory: %q", got)
	}
}
