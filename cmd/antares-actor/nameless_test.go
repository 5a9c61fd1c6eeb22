package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["unlinked"] = unlinked
	roles["watch"] = watch
}

// TestOpenFilesWithoutANameDoWhatTheyDoOnAPlainFileSystem: of each layer, and opened in each way, before and after a copy-up.
func TestOpenFilesWithoutANameDoWhatTheyDoOnAPlainFileSystem(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		plain := lab.Checkout(repo.Dir, "HEAD")
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, dir := range []string{plain, m.Point} {
			lab.Shell(dir, "echo born > born; echo more >> no-newline; mkdir gone; echo x > gone/x; echo content > replacing")
		}
		for _, path := range []string{"README.md", "large.bin", "born", "no-newline", "dir/a/b/c/deep.txt", "gone/x", "foo.txt"} {
			how := "unlink"
			switch path {
			case "gone/x":
				how = "rmdir"
			case "foo.txt":
				how = "replace"
			}
			want, got := lab.Role(plain, "unlinked", path, how), lab.Role(m.Point, "unlinked", path, how)
			if got != want {
				t.Errorf("%s, %s: in the mount it says\n%s\nin a plain directory\n%s", how, path, got, want)
			}
		}
		look := testfs.Look{Skip: []string{"."}}
		testfs.Same(t, "mount", testfs.Take(t, m.Point, look), "plain directory", testfs.Take(t, plain, look))
		m.Unmount()
		wantEmpty(t, m.Upper+".work/orphans")
	})
}

// unlinked opens a file, has it lose its name, and says how everything ends that one can do with a descriptor.
func unlinked(args []string) error {
	path, how := args[0], args[1]
	ro, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	rw, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	switch how {
	case "replace":
		err = os.Rename("replacing", path)
	case "rmdir":
		err = os.RemoveAll("gone")
	default:
		err = os.Remove(path)
	}
	if err != nil {
		return err
	}
	proc := func(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
	say := func(what string, err error) {
		var st unix.Stat_t
		serr := unix.Fstat(rw, &st)
		fmt.Printf("%s: %s; %s links %d size %d mode %o owner %d %s\n", what, errname(err), errname(serr), st.Nlink, st.Size, st.Mode, st.Uid, contents(ro))
	}
	say("at first", nil)
	say("link by /proc", unix.Linkat(unix.AT_FDCWD, proc(rw), unix.AT_FDCWD, "again", unix.AT_SYMLINK_FOLLOW))
	say("link by descriptor", unix.Linkat(rw, "", unix.AT_FDCWD, "again", unix.AT_EMPTY_PATH))
	say("pwrite", second(unix.Pwrite(rw, []byte("WRITTEN"), 2)))
	say("write to a read-only one", second(unix.Pwrite(ro, []byte("x"), 0)))
	say("ftruncate", unix.Ftruncate(rw, 5))
	say("grow", unix.Ftruncate(rw, 9000))
	say("fallocate", unix.Fallocate(rw, 0, 0, 10000))
	say("punch", unix.Fallocate(rw, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 3))
	say("mmap", scrawl(rw))
	say("fchmod", unix.Fchmod(rw, 0o640))
	say("fchown", unix.Fchown(rw, 5, 6))
	say("fsetxattr", unix.Fsetxattr(rw, "user.k", []byte("v"), 0))
	say("fgetxattr", second(unix.Fgetxattr(ro, "user.k", make([]byte, 10))))
	say("futimens", unix.UtimesNanoAt(unix.AT_FDCWD, proc(rw), []unix.Timespec{{Sec: 1}, {Sec: 2}}, 0))
	say("fsync", errors.Join(unix.Fsync(rw), unix.Fdatasync(ro)))
	again, err := unix.Open(proc(ro), unix.O_RDWR|unix.O_APPEND|unix.O_CLOEXEC, 0)
	say("open by /proc", err)
	say("append", second(unix.Write(again, []byte("END"))))
	in, out := int64(0), int64(20)
	say("copy_file_range", second(unix.CopyFileRange(rw, &in, again, &out, 10, 0)))
	say("sendfile", second(unix.Sendfile(rw, ro, &in, 5)))
	say("truncate by /proc", unix.Truncate(proc(ro), 7))
	say("flock", unix.Flock(ro, unix.LOCK_EX|unix.LOCK_NB))
	say("a new file of this name", os.MkdirAll("gone", 0o755))
	return errors.Join(unix.Close(ro), unix.Close(rw), unix.Close(again))
}

// contents describes what a descriptor reads.
func contents(fd int) string {
	buf := make([]byte, 3<<20)
	n, err := unix.Pread(fd, buf, 0)
	return fmt.Sprintf("%s %s", errname(err), sum(buf[:max(n, 0)]))
}

// scrawl writes into a shared mapping.
func scrawl(fd int) error {
	m, err := unix.Mmap(fd, 0, 9000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	copy(m[4090:], "MAPPED OVER A PAGE'S END")
	return errors.Join(unix.Msync(m, unix.MS_SYNC), unix.Munmap(m))
}

// TestReadersSeeWhatIsWrittenAfterACopyUp: with kernel overlayfs who opened or mapped a file before its copy-up reads the
// lower one for ever. Here a file is one inode with one page cache.
func TestReadersSeeWhatIsWrittenAfterACopyUp(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, path := range []string{"README.md", "large.bin"} {
			lab.Role(m.Point, "watch", path)
		}
	})
}

// watch opens and maps a file read-only, changes it by other descriptors, and sees each change by the descriptor and the mapping.
func watch(args []string) error {
	path := args[0]
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	want, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	var before unix.Stat_t
	if err := errors.Join(unix.Fstat(int(f.Fd()), &before), same("the mapping", mapped, want)); err != nil {
		return err
	}
	for i, change := range []func() error{
		func() error { return overwrite(path, "FIRST") },
		func() error { return overwrite(path, "SECOND") },
		func() error { return os.Chmod(path, 0o600) },
		func() error { return os.Rename(path, path+".moved") },
		func() error { return overwrite(path+".moved", "THIRD") },
	} {
		if err := change(); err != nil {
			return err
		}
		copy(want, []string{"FIRST", "SECOND", "", "", "THIRD"}[i])
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 0); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := errors.Join(same("read(2)", got, want), same("the mapping", mapped, want), unix.Fstat(int(f.Fd()), &st)); err != nil {
			return fmt.Errorf("change %d: %w", i, err)
		}
		if st.Ino != before.Ino || st.Dev != before.Dev {
			return fmt.Errorf("change %d: the file is %d, was %d", i, st.Ino, before.Ino)
		}
	}
	return unix.Munmap(mapped)
}

func same(what string, got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	return fmt.Errorf("%s has %q, want %q", what, strings.ToValidUTF8(string(got[:min(20, len(got))]), "?"), want[:min(20, len(want))])
}

// overwrite writes at a file's start by another descriptor.
func overwrite(path, text string) error {
	return fdo(path, func(fd int) error { return second(unix.Pwrite(fd, []byte(text), 0)) })
}
