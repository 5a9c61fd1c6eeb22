package upper_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// fixture is an open store in directories of its own.
type fixture struct {
	*upper.Store
	t           *testing.T
	upper, work string
	log         bytes.Buffer
}

// newStore opens a store and checks at the end that it closes without leftovers.
func newStore(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work")}
	f.open()
	t.Cleanup(f.close)
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	var err error
	f.Store, err = upper.Open(upper.Config{Upper: f.upper, Work: f.work, Log: slog.New(slog.NewTextHandler(&f.log, nil))})
	if err != nil {
		f.t.Fatal(err)
	}
}

// close checks that each test gave back every descriptor that it took: root, tmp and orphans are the store's.
func (f *fixture) close() {
	f.t.Helper()
	if n := f.OpenFiles(); n != 4 {
		f.t.Errorf("%d descriptors are open, want the store's 4", n)
	}
	f.Store.Close()
	if n := f.OpenFiles(); n != 0 {
		f.t.Errorf("%d descriptors are open after Close", n)
	}
	for _, dir := range []string{"tmp", "orphans"} {
		if left := names(f.t, filepath.Join(f.work, dir)); len(left) > 0 {
			f.t.Errorf("work/%s holds %v after Close", dir, left)
		}
	}
	if f.log.Len() > 0 {
		f.t.Errorf("the log says: %s", f.log.String())
	}
}

// path is where dir/name is in the machine's file system.
func (f *fixture) path(name string) string { return filepath.Join(f.upper, name) }

func (f *fixture) stat(name string) unix.Stat_t {
	f.t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(f.path(name), &st); err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	return st
}

func (f *fixture) whiteout(name string) bool {
	var st unix.Stat_t
	return unix.Lstat(f.path(name), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

func (f *fixture) absent(name string) bool {
	var st unix.Stat_t
	return unix.Lstat(f.path(name), &st) == unix.ENOENT // a bare errno
}

func (f *fixture) xattr(name, attr string) string {
	buf := make([]byte, 64)
	n, err := unix.Lgetxattr(f.path(name), attr, buf)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	return string(buf[:n])
}

// create makes a file in the root and gives it back at the end.
func (f *fixture) create(name string, b upper.Birth) *upper.File {
	f.t.Helper()
	file, _, err := f.Create(f.Root(), name, b)
	if err != nil {
		f.t.Fatalf("create %s: %v", name, err)
	}
	f.t.Cleanup(file.Release)
	return file
}

func (f *fixture) dir(name string) *upper.File {
	f.t.Helper()
	return f.create(name, upper.Birth{Mode: unix.S_IFDIR | 0o755})
}

func (f *fixture) write(name, text string) *upper.File {
	f.t.Helper()
	file := f.create(name, upper.Birth{Mode: unix.S_IFREG | 0o644})
	if n, err := file.WriteAt([]byte(text), 0); err != nil || n != len(text) {
		f.t.Fatalf("write %s: %d, %v", name, n, err)
	}
	return file
}

func (f *fixture) read(name string) string {
	f.t.Helper()
	b, err := os.ReadFile(f.path(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
