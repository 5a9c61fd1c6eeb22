package layer_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/lower"
	"github.com/antares-actor/antares-actor/internal/tree"
)

const marks = "user.overlay."

// openLocal opens directories as the local lower layers, topmost first.
func openLocal(t *testing.T, origin bool, paths ...string) *layer.Local {
	t.Helper()
	var dirs []*lower.Dir
	for _, path := range paths {
		d, err := lower.Open(path, marks)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, d)
	}
	l := layer.NewLocal(dirs, origin)
	t.Cleanup(l.Close)
	return l
}

func TestLocalKeepsTheContract(t *testing.T) {
	runContract(t, func(t *testing.T) bench {
		dir := t.TempDir()
		return bench{layer: openLocal(t, false, dir), put: func(t *testing.T, name string, w want) *tree.Node {
			path := filepath.Join(dir, name)
			var err error
			switch w.mode & unix.S_IFMT {
			case unix.S_IFDIR:
				err = os.Mkdir(path, 0o755)
			case unix.S_IFLNK:
				err = os.Symlink(w.text, path)
			default:
				err = os.WriteFile(path, []byte(w.text), os.FileMode(w.mode&0o777))
			}
			if err == nil {
				err = os.Lchown(path, 10, 20)
			}
			at := unix.NsecToTimespec(w.mtime.UnixNano())
			if err == nil {
				err = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
			}
			if err != nil {
				t.Fatal(err)
			}
			return tree.NewNode(7, nil, w.mode, tree.Place{Name: name}, tree.State{
				Mode: w.mode, Below: &tree.Below{Halves: []tree.Half{{Layer: 0, Path: name}}},
			})
		}}
	})
}

// shelves makes a layer of each list of words: "d:a", "f:a/b", "o:a" (opaque), "w:a" (whiteout), "r:a>b" (directory a with the
// redirect b). Directories above are made.
func shelves(t *testing.T, lists []string) []string {
	t.Helper()
	var dirs []string
	for _, list := range lists {
		dir := t.TempDir()
		dirs = append(dirs, dir)
		for _, word := range strings.Fields(list) {
			typ, name, _ := strings.Cut(word, ":")
			name, to, _ := strings.Cut(name, ">")
			path := filepath.Join(dir, name)
			err := os.MkdirAll(filepath.Dir(path), 0o755)
			switch {
			case err != nil:
			case typ == "f":
				err = os.WriteFile(path, nil, 0o644)
			case typ == "w":
				err = unix.Mknod(path, unix.S_IFCHR, 0)
			default:
				err = os.MkdirAll(path, 0o755)
			}
			if err == nil && typ == "o" {
				err = unix.Setxattr(path, marks+"opaque", []byte("y"), 0)
			}
			if err == nil && typ == "r" {
				err = unix.Setxattr(path, marks+"redirect", []byte(to), 0)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return dirs
}

// said spells an entry as "name=layer/path,layer/path@origin#" with "#" where the origin's tree is known.
func said(e layer.Entry) string {
	var parts []string
	if b := e.State.Below; b != nil {
		for _, h := range b.Halves {
			parts = append(parts, string(rune('0'+h.Layer))+"/"+h.Path)
		}
	}
	s := e.Name + "=" + strings.Join(parts, ",")
	if b := e.State.Below; b != nil && b.Origin != "" {
		s += "@" + b.Origin
	}
	if !e.State.Object.IsZero() {
		s += "#"
	}
	return s
}

func TestLocalLayersShowAsOne(t *testing.T) {
	tests := []struct {
		name   string
		layers []string // topmost first
		origin string   // as for TestMerge
		want   string
	}{
		{"the upper one's file hides the lower one's", []string{"f:a", "f:a f:b"}, "", "a=0/a b=1/b"},
		{"directories merge through all layers", []string{"d:a", "d:a", "d:a"}, "d:a", "a=0/a,1/a,2/a#"},
		{"a file between ends the merging", []string{"d:a", "f:a", "d:a"}, "d:a", "a=0/a"},
		{"an opaque one ends it below itself", []string{"d:a", "o:a", "d:a"}, "d:a", "a=0/a,1/a"},
		{"a whiteout hides what is below it only", []string{"f:b", "w:a w:b", "f:a f:b"}, "f:a f:c", "b=0/b c=#"},
		{"the origin is the lowest", []string{"w:x f:y"}, "f:x f:y f:z", "y=0/y z=#"},
		{"a redirect leads to another path below", []string{"r:a>/b/c", "d:a d:b/c"}, "d:b", "a=0/a,1/b/c@b/c b=1/b#"},
		{"a name as redirect stays in the parent", []string{"r:a>b", "d:b"}, "d:b", "a=0/a,1/b@b b=1/b#"},
		{"redirects chain", []string{"r:a>/b", "r:b>/c", "d:c"}, "d:c", "a=0/a,1/b,2/c@c b=1/b,2/c@c c=2/c#"},
		{"a redirect passes through a renamed directory", []string{"r:a>/b/x", "r:b>/c", "d:c/x"}, "d:c",
			"a=0/a,2/c/x@c/x b=1/b,2/c@c c=2/c#"},
		{"a redirect ends at a whiteout", []string{"r:a>/b", "w:b", "d:b"}, "d:b", "a=0/a"},
		{"a redirect ends in an opaque directory", []string{"r:a>/b/c", "o:b d:b/c", "d:b/c"}, "d:b", "a=0/a,1/b/c b=1/b"},
		{"a redirect out of the layer leads nowhere", []string{"r:a>/../etc r:b>.. r:c>x/y r:d>/x//y f:d/e", "d:x/y"}, "d:x",
			"a=0/a b=0/b c=0/c d=0/d x=1/x#"},
		{"a redirect that leads nowhere shows what is there", []string{"r:a>/none"}, "", "a=0/a"},
		{"a redirect that no file can have as its name leads nowhere", []string{"r:a>/" + strings.Repeat("n", 300) + " r:b>/\x00 f:c", "d:x"}, "",
			"a=0/a b=0/b c=0/c x=1/x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := openLocal(t, tt.origin != "", shelves(t, tt.layers)...)
			entries, err := l.List(layer.Parent{Halves: l.Roots(), HasOrigin: tt.origin != ""}, lowerList(tt.origin))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, said(e))
			}
			slices.Sort(got)
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
}

func TestLinksOfALocalLayerHaveOneNumber(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.WriteFile(dir+"/a", nil, 0o644), os.Mkdir(dir+"/d", 0o755), os.Link(dir+"/a", dir+"/b"), os.Link(dir+"/a", dir+"/d/c"),
		os.WriteFile(dir+"/alone", nil, 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	l := openLocal(t, false, dir)
	numbers := make(map[uint64]int)
	for _, p := range []layer.Parent{{Halves: l.Roots()}, {Path: "d", Halves: []tree.Half{{Path: "d"}}}} {
		entries, err := l.List(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Type == unix.S_IFREG {
				numbers[e.LinkIno] += int(e.Links)
			}
		}
	}
	if len(numbers) != 2 || numbers[0] != 0 {
		t.Errorf("%v, want one number for three names, and none for a single one", numbers)
	}
}

func TestARedirectOfUpperIsResolved(t *testing.T) {
	l := openLocal(t, true, shelves(t, []string{"d:b/c", "r:b>/x d:x/c"})...)
	for to, want := range map[string]string{
		"/b/c": "0/b/c@x/c", // the origin's b is x by then
		"c":    "0/b/c@b/c",
		"/x/c": "1/x/c@x/c",
	} {
		b, err := l.Redirect(layer.Parent{Path: "b", Halves: []tree.Half{{Path: "b"}}, Origin: "b", HasOrigin: true}, to)
		if err != nil {
			t.Fatal(err)
		}
		if got := said(layer.Entry{State: tree.State{Below: b}})[1:]; got != want {
			t.Errorf("%s leads to %s, want %s", to, got, want)
		}
		if wantPath := strings.TrimPrefix(to, "/"); b.Redirect != wantPath && b.Redirect != "b/"+wantPath {
			t.Errorf("%s stands for %s", to, b.Redirect)
		}
	}
	if b, err := openLocal(t, true).Redirect(layer.Parent{HasOrigin: true}, "/a"); err != nil || b.Origin != "a" || b.Halves != nil {
		t.Errorf("without local layers: %+v, %v", b, err)
	}
}
