package upper_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// openFails opens a store that cannot be, and checks that the error is one line with each of the parts, that no
// descriptor stays open, and that below base nothing was left.
func openFails(t *testing.T, base, up, work string, want error, parts ...string) {
	t.Helper()
	before, fds := tree(t, base), descriptors(t)
	s, err := upper.Open(upper.Config{Upper: up, Work: work, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		s.Close()
		t.Fatal("opened")
	}
	if !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want one line of %v", err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	if after := tree(t, base); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
	if after := descriptors(t); after != fds {
		t.Errorf("%d descriptors became %d", fds, after)
	}
}

// tree lists all below a directory.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		fmt.Fprintln(&b, path, d.Type())
		return err
	}))
	return b.String()
}

func descriptors(t *testing.T) int {
	t.Helper()
	return len(names(t, "/proc/self/fd"))
}

func TestOpenRefusesNestedDirectories(t *testing.T) {
	dir := t.TempDir()
	check(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
	check(t, os.Symlink("real", filepath.Join(dir, "link")))
	for name, paths := range map[string][2]string{
		"the same":                        {"u", "u"},
		"the same, spelled otherwise":     {"u", "x/../u/"},
		"work in upper":                   {"u", "u/work"},
		"upper in work":                   {"w/u", "w"},
		"work in upper by way of a link":  {"real", "link/work"},
		"upper in work by way of a link":  {"link/a/u", "real"},
		"the same by way of another name": {"real", "link"},
	} {
		t.Run(name, func(t *testing.T) {
			up, work := dir+"/"+paths[0], dir+"/"+paths[1]
			openFails(t, dir, up, work, upper.ErrUnusable, "--upper", "--work", "must not contain each other")
		})
	}
	t.Run("names that begin alike are not nested", func(t *testing.T) {
		s, err := upper.Open(upper.Config{Upper: dir + "/up", Work: dir + "/up.work", Log: slog.Default()})
		check(t, err)
		s.Close()
	})
}

func TestOpenRefusesAnotherFileSystem(t *testing.T) {
	dir, other := t.TempDir(), tmpfs(t, "size=1m")
	openFails(t, dir, dir+"/u", other+"/w", upper.ErrUnusable, dir+"/u", other+"/w", "on another file system", "put them on the same one")
	if left := names(t, other); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Nothing can be renamed from one mount to another, not even of one file system.
func TestOpenRefusesAnotherMount(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	check(t, os.Mkdir(dir+"/shown", 0o755))
	check(t, unix.Mount(dir+"/shown", other, "", unix.MS_BIND, ""))
	t.Cleanup(func() { check(t, unix.Unmount(other, 0)) })
	openFails(t, dir, dir+"/u", other+"/w", upper.ErrUnusable, dir+"/u", other+"/w", "by another mount", "put them below the same one")
}

func TestOpenRefusesWhatIsNoDirectory(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(dir+"/file", nil, 0o600))
	openFails(t, dir, dir+"/file", dir+"/w", upper.ErrUnusable, dir+"/file", "not a directory")
	openFails(t, dir, dir+"/file/u", dir+"/w", upper.ErrUnusable, dir+"/file/u", "not a directory")
	openFails(t, dir, dir+"/u", dir+"/file", upper.ErrUnusable, dir+"/file", "not a directory")
}

func TestOpenRefusesAReadOnlyFileSystem(t *testing.T) {
	dir := tmpfs(t, "size=1m")
	check(t, os.Mkdir(dir+"/u", 0o755))
	check(t, unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	openFails(t, dir, dir+"/new/u", dir+"/w", upper.ErrUnusable, dir+"/new/u", "read-only", "choose another --upper")
	openFails(t, dir, dir+"/u", dir+"/w", upper.ErrUnusable, dir+"/w", "read-only", "choose another --upper")
}

// On tmpfs each file takes an inode: with n of them, Open fails one step later than with n-1, until it does not.
func TestOpenOnAFullFileSystem(t *testing.T) {
	for n := 2; ; n++ {
		done := t.Run(fmt.Sprintf("of %d inodes", n), func(t *testing.T) {
			dir := tmpfs(t, fmt.Sprintf("size=1m,nr_inodes=%d", n))
			s, err := upper.Open(upper.Config{Upper: dir + "/u", Work: dir + "/w", Log: slog.New(slog.DiscardHandler)})
			if err == nil {
				s.Close()
				return
			}
			openFails(t, dir, dir+"/u", dir+"/w", upper.ErrUnusable, dir, "no space left", "free some space")
		})
		if !done || opens(t, n) {
			if n < 7 {
				t.Errorf("opened with %d inodes: upper, work, lock, tmp, orphans and a probe are more", n)
			}
			return
		}
	}
}

func opens(t *testing.T, inodes int) bool {
	t.Helper()
	dir := t.TempDir()
	check(t, unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=1m,nr_inodes=%d", inodes)))
	defer func() { check(t, unix.Unmount(dir, 0)) }()
	s, err := upper.Open(upper.Config{Upper: dir + "/u", Work: dir + "/w", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return false
	}
	s.Close()
	return true
}

func TestOpenRefusesWhatCannotHoldMarks(t *testing.T) {
	dir := t.TempDir() // ramfs keeps no extended attributes
	check(t, unix.Mount("none", dir, "ramfs", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(dir, 0)) })
	openFails(t, dir, dir+"/u", dir+"/w", upper.ErrUnusable, dir+"/u", "extended attributes", "put --upper on")
}

func TestOpenRefusesWhatIsInUse(t *testing.T) {
	f := newStore(t)
	dir := filepath.Dir(f.upper)
	openFails(t, dir, f.upper, f.work, upper.ErrInUse, f.upper, "unmount that one, or give another --upper")
	openFails(t, dir, f.upper, dir+"/work2", upper.ErrInUse, f.upper, "unmount that one, or give another --upper")
	openFails(t, dir, dir+"/upper2", f.work, upper.ErrInUse, f.work)
	f.write("x", "still works")
}

func TestOpenCleansWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	f := &fixture{t: t, upper: dir + "/upper", work: dir + "/work"}
	for _, path := range []string{"upper/kept", "work/tmp/1/2/3", "work/orphans/0000000000000abc/deep"} {
		check(t, os.MkdirAll(filepath.Join(dir, path), 0o755))
	}
	check(t, os.WriteFile(dir+"/work/tmp/2", []byte("half a copy"), 0))
	check(t, os.Mkdir(dir+"/work/tmp/3", 0))
	check(t, unix.Mknod(dir+"/work/orphans/0000000000000abc/gone", unix.S_IFCHR, 0))
	check(t, os.Symlink("../../upper", dir+"/work/tmp/link")) // its target must stay
	f.open()
	if left := append(f.tmp(), f.orphans()...); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if got := names(t, f.upper); len(got) != 1 {
		t.Errorf("upper holds %v", got)
	}
	f.close()
}

func TestOpenDoesNotFollowALinkInTheWorkDirectory(t *testing.T) {
	for _, name := range []string{"tmp", "orphans", "lock"} {
		dir := t.TempDir()
		check(t, os.MkdirAll(dir+"/precious", 0o755))
		check(t, os.WriteFile(dir+"/precious/file", []byte("text"), 0o600))
		check(t, os.MkdirAll(dir+"/work", 0o755))
		check(t, os.Symlink("../precious", dir+"/work/"+name))
		s, err := upper.Open(upper.Config{Upper: dir + "/u", Work: dir + "/work", Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close()
			t.Errorf("%s: opened by way of a link", name)
		}
		if _, err := os.Stat(dir + "/precious/file"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiscardRemovesWhatOpenMade(t *testing.T) {
	dir := t.TempDir()
	before := tree(t, dir)
	work := dir + "/a/work"
	s, err := upper.Open(upper.Config{Upper: dir + "/a/b/upper", Work: work, Log: slog.Default()})
	check(t, err)
	s.Discard(work)
	if after := tree(t, dir); after != before {
		t.Errorf("left: %s", after)
	}
	check(t, os.MkdirAll(dir+"/mine", 0o755))
	s, err = upper.Open(upper.Config{Upper: dir + "/mine", Work: work, Log: slog.Default()})
	check(t, err)
	s.Discard(work)
	if _, err := os.Stat(dir + "/mine"); err != nil {
		t.Errorf("a directory that was there before: %v", err)
	}
}

func TestCloseGivesBackEveryDescriptor(t *testing.T) {
	before := descriptors(t)
	for range 5 {
		f := &fixture{t: t, upper: t.TempDir(), work: t.TempDir()}
		f.open()
		a := f.write("a", "text")
		if f.OpenFiles() != 5 || !a.Acquire() {
			t.Errorf("%d open files, want 5", f.OpenFiles())
		}
		a.Release()
		_, _, err := f.Create(f.Root(), "a", upper.Birth{Mode: unix.S_IFREG})
		if err == nil {
			t.Error("created twice")
		}
		if _, err := f.OpenChild(f.Root(), "none", unix.S_IFREG); err == nil {
			t.Error("opened nothing")
		}
		f.Store.Close()
	}
	if after := descriptors(t); after != before+5 { // the fixtures' files, given back by their clean-up
		t.Errorf("%d descriptors became %d", before, after)
	}
}
