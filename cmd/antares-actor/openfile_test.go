package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["map"] = mapShared
	roles["nameless"] = nameless
}

func TestRemovedFilesLiveOnWhileTheyAreOpen(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, "echo born in upper > new; echo more >> no-newline")
		for path, want := range map[string]string{
			"foo.txt": "2\n", "dir/a/b/c/deep.txt": "deep\n", "new": "born in upper\n", "no-newline": "xmore\n", "binary": "a\x00b\xff\n",
		} {
			f, err := os.OpenFile(m.Path(path), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if path == "binary" { // replaced by a rename instead
				lab.Shell(m.Point, "echo other > other && mv other binary")
			} else if err := os.Remove(m.Path(path)); err != nil {
				t.Fatal(err)
			}
			useNameless(t, f, want)
			if err := f.Close(); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		wantContent(t, m.Path("binary"), "other\n")
		wantAbsent(t, m.Path("foo.txt"))
		m.Unmount()
		wantEmpty(t, m.Upper+".work/orphans")
	})
}

// useNameless reads and changes a file that has lost its name.
func useNameless(t *testing.T, f *os.File, want string) {
	t.Helper()
	buf := make([]byte, 100)
	n, _ := f.ReadAt(buf, 0)
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 0 || st.Size != int64(len(want)) || string(buf[:n]) != want {
		t.Errorf("%s: %v, %d links, size %d, content %q, want 0 links and %q", f.Name(), err, st.Nlink, st.Size, buf[:n], want)
	}
	if _, err := f.WriteAt([]byte("tail"), int64(len(want))); err != nil {
		t.Errorf("%s: write: %v", f.Name(), err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Sync(), f.Truncate(int64(len(want)+2))); err != nil {
		t.Errorf("%s: %v", f.Name(), err)
	}
	n, _ = f.ReadAt(buf, 0)
	if string(buf[:n]) != want+"ta" {
		t.Errorf("%s: after the change it has %q", f.Name(), buf[:n])
	}
}

func TestSharedMappingsReachTheFile(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, path := range []string{"large.bin", "README.md", "born"} {
			if path == "born" {
				writeFile(t, m.Path(path), strings.Repeat("0123456789", 5000))
			}
			want := []byte(read(t, m.Path(path)))
			lab.Role(m.Point, "map", path) // a fault in a mapping could kill the process
			copy(want[len(want)/2:], "MAP")
			if got := read(t, m.Path(path)); got != string(want) {
				t.Errorf("%s: through the mount it is not what was written through a mapping", path)
			}
			if got := read(t, m.InUpper(path)); got != string(want) {
				t.Errorf("%s: in upper it is not what was written through a mapping", path)
			}
		}
	})
}

// mapShared writes "MAP" into the middle of a file through one mapping and sees it through another and by read(2).
func mapShared(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := int(info.Size())
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	other, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	copy(m[size/2:], "MAP")
	got := make([]byte, size)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, other) || !bytes.Equal(got, m) || string(got[size/2:size/2+3]) != "MAP" {
		return fmt.Errorf("mappings and read(2) differ: %w", err)
	}
	return errors.Join(unix.Msync(m, unix.MS_SYNC), unix.Munmap(m), unix.Munmap(other), f.Close())
}

func TestTemporaryFilesHaveNoNameUntilTheyAreLinked(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Role(m.Path("dir"), "nameless", "linked")
		wantContent(t, m.Path("dir/linked"), "content")
		if out := lab.Shell(m.Path("dir"), "ls -A && stat -c '%h %a' linked"); out != "a\nb\nlinked\n1 640\n" {
			t.Errorf("ls says %q", out)
		}
		m.Unmount()
		wantEmpty(t, m.Upper+".work/orphans")
		wantContent(t, m.InUpper("dir/linked"), "content")
	})
}

// nameless makes two files by O_TMPFILE, and gives one of them a name.
func nameless(args []string) error {
	for _, name := range []string{"", args[0]} {
		fd, err := unix.Open(".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o640)
		if err != nil {
			return fmt.Errorf("open: %w", err)
		}
		var st unix.Stat_t
		if _, err := unix.Write(fd, []byte("content")); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := unix.Fstat(fd, &st); err != nil || st.Nlink != 0 || st.Size != 7 {
			return fmt.Errorf("stat: %w, %d links, size %d", err, st.Nlink, st.Size)
		}
		if name != "" {
			if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
				return fmt.Errorf("link: %w", err)
			}
		}
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	return nil
}

func TestSyncingWorksForFilesAndDirectories(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, path := range []string{"README.md", "dir", ".", "new", "foo.txt"} {
			flags := os.O_RDONLY
			if path == "new" || path == "foo.txt" {
				flags = os.O_RDWR | os.O_CREATE
			}
			f, err := os.OpenFile(m.Path(path), flags, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if flags != os.O_RDONLY {
				_, err = f.WriteString("durable")
			}
			if err := errors.Join(err, unix.Fsync(int(f.Fd())), unix.Fdatasync(int(f.Fd())), f.Close()); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		stats := m.Unmount()
		if stats.Requests["FSYNC"] == 0 || stats.Requests["FSYNCDIR"] == 0 {
			t.Errorf("no fsync reached the mount: %v", stats.Requests)
		}
	})
}

func TestRemovedDirectoriesHaveNoLinksWhileTheyAreOpen(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, "mkdir new replaced replacement emptied; rm -r dir/b/*")
		for path, script := range map[string]string{
			"new": "rmdir new", "replaced": "mv -T replacement replaced", "dir/b": "mv -T emptied dir/b", "odd": "rm -r odd",
		} {
			fd, err := unix.Open(m.Path(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			lab.Shell(m.Point, script)
			var st unix.Stat_t
			if err := unix.Fstat(fd, &st); err != nil || st.Nlink != 0 {
				t.Errorf("%s: %v, %d links, want 0", script, err, st.Nlink)
			}
			_ = unix.Close(fd)
		}
	})
}
