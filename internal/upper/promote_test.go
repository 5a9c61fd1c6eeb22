package upper_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

var (
	mark = []byte{1, 2, 3, 4, 5, 6, 7, 0x40}
	then = unix.Timespec{Sec: 1_600_000_000, Nsec: 123_456_789}
)

func original(b upper.Birth) upper.Original { return upper.Original{Birth: b, Mtime: then, Mark: mark} }

func (f *fixture) stage(b upper.Birth) *upper.Staged {
	f.t.Helper()
	st, err := f.Stage(original(b))
	check(f.t, err)
	return st
}

func (f *fixture) tmp() []string { return names(f.t, filepath.Join(f.work, "tmp")) }

func TestCommitPutsTheCopyInPlace(t *testing.T) {
	for name, b := range births() {
		t.Run(name, func(t *testing.T) {
			f := newStore(t)
			dir := f.dir("dir")
			check(t, dir.Utimes(unix.Timespec{Sec: 11, Nsec: 1}, unix.Timespec{Sec: 22, Nsec: 2}))
			st := f.stage(b)
			defer st.File.Release()
			text := strings.Repeat("content\n", 1000)
			if b.Mode&unix.S_IFMT == unix.S_IFREG {
				check(t, f.Fill(st, strings.NewReader(text), int64(len(text))))
			}
			if !f.absent("dir/x") {
				t.Error("visible before the commit")
			}
			check(t, f.Commit(st, dir, "x"))
			got := f.stat("dir/x")
			if got.Mode != b.Mode || got.Uid != b.UID || got.Gid != b.GID || got.Rdev != b.Rdev || got.Mtim != then {
				t.Errorf("mode %o, owner %d:%d, mtime %v", got.Mode, got.Uid, got.Gid, got.Mtim)
			}
			if at := f.xattr("dir/x", "trusted.overlay.antares.ino"); at != string(mark) {
				t.Errorf("mark %q", at)
			}
			if b.Mode&unix.S_IFMT == unix.S_IFREG && f.read("dir/x") != text {
				t.Error("other content")
			}
			if parent := f.stat("dir"); parent.Atim.Sec != 11 || parent.Mtim != (unix.Timespec{Sec: 22, Nsec: 2}) {
				t.Errorf("the directory's times became %v, %v", parent.Atim, parent.Mtim)
			}
			if left := f.tmp(); len(left) > 0 {
				t.Errorf("work/tmp holds %v", left)
			}
		})
	}
}

func TestCommitNeverReplaces(t *testing.T) {
	f := newStore(t)
	f.write("x", "mine")
	st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
	if err := f.Commit(st, f.Root(), "x"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("%v, want EEXIST", err)
	}
	f.Abandon(st)
	if f.read("x") != "mine" || len(f.tmp()) > 0 {
		t.Error("something changed")
	}
}

func TestCommitOrphan(t *testing.T) {
	f := newStore(t)
	st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
	check(t, f.CommitOrphan(st, ino))
	defer st.File.Release()
	got, err := f.OpenOrphan(ino, unix.S_IFREG)
	check(t, err)
	defer got.Release()
	if got.Ino() != st.File.Ino() || got.Born().Mtim != then || len(names(t, f.upper)) > 0 {
		t.Error("wrong")
	}
}

func TestAbandonLeavesNothing(t *testing.T) {
	f := newStore(t)
	for _, b := range births() {
		f.Abandon(f.stage(b))
	}
	if left := f.tmp(); len(left) > 0 {
		t.Errorf("work/tmp holds %v", left)
	}
}

// cannotClone hides that a source is a file, so that it is copied through memory.
type cannotClone struct{ io.ReaderAt }

func TestFillCopies(t *testing.T) {
	elsewhere := tmpfs(t, "size=16m")
	sizes := []int{0, 1, 4096, 1<<20 - 1, 1 << 20, 3<<20 + 17}
	for _, size := range sizes {
		text := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		for where, dir := range map[string]string{"the same file system": t.TempDir(), "another file system": elsewhere} {
			path := filepath.Join(dir, "source")
			check(t, os.WriteFile(path, text, 0o600))
			src, err := os.Open(path)
			check(t, err)
			defer src.Close()
			for how, from := range map[string]io.ReaderAt{"as a file": src, "through memory": cannotClone{src}} {
				t.Run(strings.Join([]string{where, how}, " "), func(t *testing.T) {
					f := newStore(t)
					st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
					defer st.File.Release()
					check(t, f.Fill(st, from, int64(size)))
					check(t, f.Commit(st, f.Root(), "x"))
					if f.read("x") != string(text) {
						t.Errorf("%d bytes came out as %d others", size, len(f.read("x")))
					}
				})
			}
		}
	}
}

func TestFillTakesNoMoreThanItIsTold(t *testing.T) {
	f := newStore(t)
	path := filepath.Join(t.TempDir(), "source")
	check(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	src, err := os.Open(path)
	check(t, err)
	defer src.Close()
	for i, from := range []io.ReaderAt{src, cannotClone{src}} {
		st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
		check(t, f.Fill(st, from, 4))
		name := string(rune('a' + i))
		check(t, f.Commit(st, f.Root(), name))
		st.File.Release()
		if got := f.read(name); got != "0123" {
			t.Errorf("%q", got)
		}
		st = f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
		if err := f.Fill(st, from, 11); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a source that is too short: %v", err)
		}
		f.Abandon(st)
	}
	st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
	broken := errors.New("bad sector")
	if err := f.Fill(st, badReader{broken}, 4); !errors.Is(err, broken) {
		t.Errorf("a source that cannot be read: %v", err)
	}
	f.Abandon(st)
}

type badReader struct{ err error }

func (b badReader) ReadAt(p []byte, _ int64) (int, error) { return iotest.ErrReader(b.err).Read(p) }

func TestFillOnAFullDisk(t *testing.T) {
	dir := tmpfs(t, "size=256k")
	f := &fixture{t: t, upper: filepath.Join(dir, "upper"), work: filepath.Join(dir, "work")}
	f.open()
	defer f.close()
	st := f.stage(upper.Birth{Mode: unix.S_IFREG | 0o644})
	text := strings.NewReader(strings.Repeat("x", 1<<20))
	if err := f.Fill(st, text, 1<<20); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v, want ENOSPC", err)
	}
	f.Abandon(st)
	if left := f.tmp(); len(left) > 0 {
		t.Errorf("work/tmp holds %v", left)
	}
}

// tmpfs mounts one with these options for the time of the test.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	check(t, unix.Mount("none", dir, "tmpfs", 0, options))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}
