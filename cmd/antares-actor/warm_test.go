package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["warm"] = warm
	roles["broad"] = broad
}

// TestWarmUseMakesNoRequest: once the kernel has been told, it asks nothing again: not to open, stat, list, follow, miss or
// read. The debug log has a line for each request, written before its answer. The kernel may reclaim a page that it thinks cold
// at any time, and must ask again then: so one attempt of a few has to be without a request, and a request that our answers
// cause comes in each.
func TestWarmUseMakesNoRequest(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin, Flags: []string{"--log-level", "debug"}})
		lab.Shell(m.Point, "echo more >> README.md; mkdir made; echo x > made/x; ln -s x made/link; rm foo.txt; mv foo0 moved")
		lab.Role(m.Point, "warm", "2") // what was just written is read once more
		if requestsIn(m.Log()) == nil {
			t.Error("the log has no requests: this test tests nothing")
		}
		var made []string
		for range 5 {
			before := m.Log()
			lab.Role(m.Point, "warm", "10")
			if made = requestsIn(m.Log()[len(before):]); made == nil {
				return
			}
		}
		t.Errorf("warm use made requests: %q", made)
	})
}

// requestsIn returns a log's lines of requests that a caller waited for.
func requestsIn(log string) []string {
	var lines []string
	for line := range strings.Lines(log) {
		op := logged(line, "op")
		if strings.Contains(line, "msg=request") && !slices.Contains([]string{"FORGET", "BATCH_FORGET", "INTERRUPT"}, op) {
			lines = append(lines, line)
		}
	}
	return lines
}

// logged returns a word of a log line.
func logged(line, key string) string {
	_, after, _ := strings.Cut(line, " "+key+"=")
	word, _, _ := strings.Cut(after, " ")
	return word
}

// warm opens, stats, lists, follows and reads all that is below the working directory, and misses what is not.
func warm(args []string) error {
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range rounds {
		err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return useOnce(path, d)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func useOnce(path string, d fs.DirEntry) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	switch {
	case d.Type()&fs.ModeSymlink != 0:
		_, err := os.Readlink(path)
		return err
	case d.IsDir():
		if err := unix.Lstat(filepath.Join(path, "no-such-name"), &st); err != unix.ENOENT { // a bare errno
			return fmt.Errorf("a missing name: %w", err)
		}
		return nil // WalkDir lists it
	}
	for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR} {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	_, err := os.ReadFile(path)
	return err
}

// TestNothingButTheStatelessOperationsAnswersENOSYS uses every system call that can reach a file system. Each other mount in
// these tests is checked for the same (package testfs).
func TestNothingButTheStatelessOperationsAnswersENOSYS(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, path := range []string{"README.md", "born", "large.bin"} {
			lab.Role(m.Point, "broad", path)
		}
		stats := m.Unmount()
		for _, op := range []string{
			"LOOKUP", "GETATTR", "SETATTR", "READ", "WRITE", "MKNOD", "MKDIR", "UNLINK", "RMDIR", "RENAME2", "LINK", "SYMLINK", "READLINK",
			"FSYNC", "FSYNCDIR", "STATFS", "SETXATTR", "GETXATTR", "LISTXATTR", "REMOVEXATTR", "LSEEK", "FALLOCATE", "TMPFILE",
		} {
			if stats.Requests[op] == 0 {
				t.Errorf("no %s came: the workload is not broad: %v", op, stats.Requests)
			}
		}
		for _, op := range []string{"OPEN", "OPENDIR", "CREATE", "FLUSH"} {
			if stats.Requests[op] > 1 {
				t.Errorf("%s came %d times, want once at most", op, stats.Requests[op])
			}
		}
	})
}

// broad makes system calls on a file and reports those that end with ENOSYS. Other errors are theirs to have.
func broad(args []string) error {
	path := args[0]
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return err
	}
	dir, err := unix.Open(".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	buf := make([]byte, 8192)
	calls := append(onFile(fd, buf), onNames(dir, path, buf)...)
	for i, err := range calls {
		if errors.Is(err, unix.ENOSYS) {
			return fmt.Errorf("call %d: %w", i, err)
		}
	}
	return nil
}

func onFile(fd int, buf []byte) []error {
	in, out := int64(0), int64(100)
	tmp, terr := unix.Open(".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	_, perr := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLOUT}}, 0)
	_, ierr := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	_, berr := unix.IoctlGetInt(fd, unix.TCGETS)
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return []error{
		terr, perr, ierr, berr, second(unix.Write(fd, buf[:200])), second(unix.Pread(fd, buf, 0)), second(unix.CopyFileRange(fd, &in, fd, &out, 50, 0)),
		second64(unix.Seek(fd, 0, unix.SEEK_DATA)), second64(unix.Seek(fd, 0, unix.SEEK_HOLE)), unix.Fallocate(fd, 0, 0, 4096),
		unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 10), unix.Fsync(fd), unix.Fdatasync(fd),
		unix.SyncFileRange(fd, 0, 10, unix.SYNC_FILE_RANGE_WRITE), unix.Syncfs(fd), unix.Fadvise(fd, 0, 10, unix.FADV_WILLNEED),
		unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB), unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &lock), unix.FcntlFlock(uintptr(fd), unix.F_GETLK, &lock),
		unix.Ftruncate(fd, 50), unix.Fchmod(fd, 0o600), unix.Fchown(fd, 1, 1), unix.Fstatfs(fd, new(unix.Statfs_t)),
		unix.IoctlFileClone(fd, fd), unix.Close(tmp), unix.Close(fd),
	}
}

func onNames(dir int, path string, buf []byte) []error {
	var stx unix.Statx_t
	at := unix.AT_FDCWD
	return []error{
		unix.Statx(at, path, unix.AT_STATX_FORCE_SYNC, unix.STATX_ALL|unix.STATX_BTIME, &stx), unix.Access(path, unix.X_OK), unix.Faccessat(at, path, unix.R_OK, unix.AT_EACCESS),
		unix.Setxattr(path, "user.k", []byte("v"), 0), second(unix.Getxattr(path, "user.k", buf)), second(unix.Getxattr(path, "security.capability", buf)),
		second(unix.Listxattr(path, buf)), unix.Removexattr(path, "user.k"), second(unix.Getxattr(path, "system.posix_acl_access", buf)),
		unix.Mkdir("d", 0o755), unix.Rename("d", "e"), unix.Renameat2(at, "e", at, "d", unix.RENAME_NOREPLACE), unix.Rmdir("d"),
		unix.Link(path, "l"), unix.Renameat2(at, "l", at, path, unix.RENAME_EXCHANGE), unix.Unlink("l"), unix.Symlink("to", "s"),
		second(unix.Readlink("s", buf)), second(unix.Readlink("link", buf)), unix.Unlink("s"), unix.Mkfifo("p", 0o600), unix.Unlink("p"),
		unix.Mknod("n", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))), unix.Unlink("n"), unix.Renameat2(at, path, at, "w", unix.RENAME_WHITEOUT),
		unix.Truncate(path, 10), unix.UtimesNanoAt(at, path, []unix.Timespec{{Sec: 1}, {Sec: 2}}, 0), second(unix.ReadDirent(dir, buf)), unix.Fsync(dir), unix.Close(dir),
	}
}

func second64(_ int64, err error) error { return err }
