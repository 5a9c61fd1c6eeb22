package lower_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/lower"
)

func open(t *testing.T, path string) *lower.Dir {
	t.Helper()
	d, err := lower.Open(path, "user.overlay.")
	check(t, err)
	t.Cleanup(d.Close)
	return d
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// No name in a layer leads out of it, whatever the layer holds.
func TestNothingLeadsOutOfTheLayer(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	check(t, os.WriteFile(outside+"/secret", []byte("text"), 0o644))
	check(t, os.Symlink(outside, dir+"/link"))
	check(t, os.Symlink(outside+"/secret", dir+"/file"))
	d := open(t, dir)
	for _, path := range []string{"link/secret", "../" + filepath.Base(outside) + "/secret", "..", "/etc/passwd", "link/..", "file"} {
		if f, err := d.Open(path); err == nil {
			t.Errorf("%s opened", path)
			_ = f.Close()
		}
		if _, err := d.Scan(path); err == nil {
			t.Errorf("%s listed", path)
		}
	}
	if _, err := d.Stat("link/secret"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("stat: %v", err)
	}
	if target, err := d.Readlink("link"); err != nil || target != outside {
		t.Errorf("%q, %v", target, err)
	}
}

func TestPathsMayBeLongerThanTheKernelTakes(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("n", 200)
	at, err := unix.Open(dir, unix.O_DIRECTORY, 0)
	check(t, err)
	var names []string
	for range 40 { // 8,000 bytes
		check(t, unix.Mkdirat(at, name, 0o755))
		next, err := unix.Openat(at, name, unix.O_DIRECTORY, 0)
		check(t, err)
		check(t, unix.Close(at))
		at, names = next, append(names, name)
	}
	f, err := unix.Openat(at, "file", unix.O_CREAT|unix.O_WRONLY, 0o644)
	check(t, err)
	_, err = unix.Write(f, []byte("deep"))
	check(t, errors.Join(err, unix.Close(f), unix.Close(at)))
	d := open(t, dir)
	got, err := d.Open(strings.Join(append(names, "file"), "/"))
	check(t, err)
	b := make([]byte, 10)
	if n, _ := got.Read(b); string(b[:n]) != "deep" {
		t.Errorf("%q", b[:n])
	}
	check(t, got.Close())
	if _, err := d.Stat(strings.Join(append(names, "none"), "/")); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

func TestTheOverlaysOwnAttributesAreNotShown(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(dir+"/file", nil, 0o644))
	check(t, unix.Setxattr(dir+"/file", "user.overlay.antares.ino", []byte("12345678"), 0))
	check(t, unix.Setxattr(dir+"/file", "user.mine", []byte("value"), 0))
	d := open(t, dir)
	names, err := d.Xattrs("file")
	if check(t, err); !slices.Equal(names, []string{"user.mine"}) {
		t.Errorf("%v", names)
	}
	if _, err := d.Xattr("file", "user.overlay.antares.ino", nil); !errors.Is(err, unix.ENODATA) {
		t.Error(err)
	}
	b := make([]byte, 100)
	if n, err := d.Xattr("file", "user.mine", b); err != nil || string(b[:n]) != "value" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if n, err := d.Xattr("file", "user.mine", nil); err != nil || n != 5 {
		t.Errorf("size %d, %v", n, err)
	}
}

func TestABadDirectoryIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(file, nil, 0o644))
	for _, path := range []string{"/nonexistent/dir", file} {
		if _, err := lower.Open(path, ""); !errors.Is(err, lower.ErrUnusable) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
