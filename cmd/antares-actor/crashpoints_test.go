//go:build !race

package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() { roles[testfs.TraceRole] = testfs.TraceProcess }

// Crashes at each step: the engine is killed as it is about to make the first, the second, ... system call that changes
// something, be it in upper, in the work directory, in the journal, or the answer to the kernel.

// step is an operation to crash in. Its directory has what crashFiles says.
type step struct {
	prepare string // a script
	do      func(dir string) error
	// leaves is the old name of a directory that takes the place of an empty one. The two are exchanged, and then the empty one
	// goes: if everything is killed in between, the old name still shows a directory, with what the lower layer has there.
	leaves string
}

func path1(do func(string) error, name string) func(string) error {
	return func(dir string) error { return do(filepath.Join(dir, name)) }
}

func path2(from, to string, flags uint) func(string) error {
	return func(dir string) error {
		return unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, from), unix.AT_FDCWD, filepath.Join(dir, to), flags)
	}
}

func linking(from, to string) func(string) error {
	return func(dir string) error { return unix.Link(filepath.Join(dir, from), filepath.Join(dir, to)) }
}

func makeFile(path string) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func makeDir(path string) error { return unix.Mkdir(path, 0o751) }

// writeInside writes in the middle of a file.
func writeInside(path string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	n, err := unix.Pwrite(fd, []byte(strings.Repeat("NEW", 4000)), 5000)
	if err == nil && n != 12000 {
		err = fmt.Errorf("%d bytes written", n)
	}
	return errors.Join(err, unix.Close(fd))
}

// withoutName makes a file by O_TMPFILE and gives it a name.
func withoutName(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return err
	}
	err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, filepath.Join(dir, "named"), unix.AT_SYMLINK_FOLLOW)
	return errors.Join(err, unix.Close(fd))
}

// unlinkHeld unlinks a file that is open, and uses it afterwards.
func unlinkHeld(name string) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		err = unix.Unlink(path)
		if err == nil {
			_, err = unix.Pwrite(fd, []byte("nameless"), 0)
		}
		got := make([]byte, 8)
		if err == nil {
			_, err = unix.Pread(fd, got, 0)
		}
		if err == nil && string(got) != "nameless" {
			err = fmt.Errorf("it has %q", got)
		}
		return errors.Join(err, unix.Close(fd))
	}
}

func setting(name string, value []byte) func(string) error {
	return func(path string) error {
		if value == nil {
			return unix.Removexattr(path, name)
		}
		return unix.Setxattr(path, name, value, unix.XATTR_CREATE)
	}
}

var crashFiles = map[string]string{
	"file": strings.Repeat("0123456789abcde\n", 4<<10), "second": "second\n", "gone": "gone\n", "sub/in": "in\n", "tree/x/deep": strings.Repeat("deep\n", 9000),
	"link": "->file",
}

var crashSteps = map[string]step{
	"copy up to write":                      {do: path1(writeInside, "tree/x/deep")},
	"copy up to truncate":                   {do: path1(func(p string) error { return unix.Truncate(p, 3000) }, "tree/x/deep")},
	"copy up for chmod":                     {do: path1(func(p string) error { return unix.Chmod(p, 0o751) }, "file")},
	"copy up for setxattr":                  {do: path1(setting("user.a", []byte("v")), "file")},
	"write":                                 {prepare: "cat tree/x/deep > new", do: path1(writeInside, "new")},
	"truncate":                              {prepare: "cat tree/x/deep > new", do: path1(func(p string) error { return unix.Truncate(p, 10) }, "new")},
	"removexattr":                           {prepare: "touch new; setfattr -n user.a -v x new", do: path1(setting("user.a", nil), "new")},
	"create":                                {do: path1(makeFile, "new")},
	"create in a lower directory":           {do: path1(makeFile, "tree/x/new")},
	"create over a whiteout":                {prepare: "rm gone", do: path1(makeFile, "gone")},
	"mkdir":                                 {do: path1(makeDir, "new")},
	"mkdir over a whiteout":                 {prepare: "rm gone", do: path1(makeDir, "gone")},
	"mkdir where a directory was":           {prepare: "rm -r sub", do: path1(makeDir, "sub")},
	"symlink over a whiteout":               {prepare: "rm gone", do: path1(func(p string) error { return unix.Symlink("target", p) }, "gone")},
	"mknod":                                 {do: path1(func(p string) error { return unix.Mknod(p, unix.S_IFIFO|0o640, 0) }, "new")},
	"O_TMPFILE":                             {do: withoutName},
	"link":                                  {prepare: "echo new > new", do: linking("new", "another")},
	"link a lower file":                     {do: linking("file", "sub/another")},
	"link over a whiteout":                  {prepare: "rm gone", do: linking("file", "gone")},
	"unlink":                                {prepare: "echo new > new", do: path1(unix.Unlink, "new")},
	"unlink a lower file":                   {do: path1(unix.Unlink, "tree/x/deep")},
	"unlink a copied-up file":               {prepare: "echo more >> file", do: path1(unix.Unlink, "file")},
	"unlink one of two links":               {prepare: "echo new > new; ln new other", do: path1(unix.Unlink, "new")},
	"unlink an open file":                   {prepare: "echo new text > new", do: unlinkHeld("new")},
	"unlink an open lower file":             {do: unlinkHeld("tree/x/deep")},
	"rmdir":                                 {prepare: "mkdir new", do: path1(unix.Rmdir, "new")},
	"rmdir a lower directory":               {prepare: "rm sub/in", do: path1(unix.Rmdir, "sub")},
	"rename":                                {prepare: "echo new > new", do: path2("new", "sub/moved", 0)},
	"rename a lower file":                   {do: path2("tree/x/deep", "sub/moved", 0)},
	"rename a lower file without replacing": {do: path2("file", "moved", unix.RENAME_NOREPLACE)},
	"rename over a lower file":              {prepare: "echo new > new", do: path2("new", "tree/x/deep", 0)},
	"rename a lower file over another":      {do: path2("file", "second", 0)},
	"rename a lower file over a new one":    {prepare: "echo new > sub/new", do: path2("file", "sub/new", 0)},
	"rename to a whiteout":                  {prepare: "rm gone", do: path2("file", "gone", 0)},
	"rename a directory":                    {prepare: "mkdir new; echo a > new/a", do: path2("new", "sub/moved", 0)},
	"rename a lower directory":              {do: path2("tree", "sub/moved", 0)},
	"rename a directory over a lower one":   {prepare: "mkdir new; echo a > new/a; rm sub/in", do: path2("new", "sub", 0), leaves: "new"},
	"rename a lower directory over another": {prepare: "rm sub/in", do: path2("tree", "sub", 0), leaves: "tree"},
	"exchange files":                        {do: path2("file", "tree/x/deep", unix.RENAME_EXCHANGE)},
	"exchange files of a directory":         {do: path2("file", "second", unix.RENAME_EXCHANGE)},
	"exchange new files":                    {prepare: "echo a > new; echo b > sub/new", do: path2("new", "sub/new", unix.RENAME_EXCHANGE)},
	"exchange a new file and a lower one":   {prepare: "echo a > new", do: path2("new", "tree/x/deep", unix.RENAME_EXCHANGE)},
	"exchange a file and a directory":       {do: path2("tree", "second", unix.RENAME_EXCHANGE)},
	"exchange a new file and a directory":   {prepare: "echo a > sub/new", do: path2("tree", "sub/new", unix.RENAME_EXCHANGE)},
	"exchange a directory and a moved one":  {prepare: "mv tree sub/moved; mkdir new; mv new tree", do: path2("sub/moved", "tree", unix.RENAME_EXCHANGE)},
	"exchange directories":                  {do: path2("tree", "sub", unix.RENAME_EXCHANGE)},
	"exchange directories at two depths":    {do: path2("tree/x", "sub", unix.RENAME_EXCHANGE)},
	"exchange new directories": {
		prepare: "mkdir new sub/new; echo a > new/a; echo b > sub/new/b", do: path2("new", "sub/new", unix.RENAME_EXCHANGE),
	},
	"exchange a new directory and a lower one": {prepare: "mkdir new; echo a > new/a", do: path2("tree", "new", unix.RENAME_EXCHANGE)},
}

// crashes is for how many crashes of a step there are directories.
const crashes = 64

// crashDir is the directory for a step's crash; that with number 0 is for the step without one.
func crashDir(name string, at int) string {
	return fmt.Sprintf("%s/%d", strings.ReplaceAll(name, " ", "-"), at)
}

func crashRepo(t *testing.T, names []string) string {
	t.Helper()
	files := make(map[string]string)
	for _, name := range names {
		for at := range crashes {
			for file, content := range crashFiles {
				files[crashDir(name, at)+"/"+file] = content
			}
		}
	}
	return "git:" + importRepo(t, files).Dir
}

// crashesEnv with the value "all" has a crash at each system call of each step. Else there is one at each third, others in one
// step than in the next.
const crashesEnv = "ANTARES_CRASHES"

func crashesHere(step, at int) bool {
	return os.Getenv(crashesEnv) == "all" || (step+at)%3 == 0
}

// eachStep runs a test for parts of the steps at the same time.
func eachStep(t *testing.T, test func(t *testing.T, lab *testfs.Lab, origin string, names []string)) {
	t.Helper()
	all := slices.Sorted(maps.Keys(crashSteps))
	for names := range slices.Chunk(all, (len(all)+2)/3) {
		t.Run("from "+names[0], func(t *testing.T) {
			t.Parallel()
			test(t, suite.New(t), crashRepo(t, names), names)
		})
	}
}

// TestACrashOfTheEngineAtEachStep: nobody notices.
func TestACrashOfTheEngineAtEachStep(t *testing.T) {
	t.Parallel()
	eachStep(t, func(t *testing.T, lab *testfs.Lab, origin string, names []string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		want, inodes := make(map[string]testfs.Snapshot), make(map[string]map[string]uint64) // by directory
		for i, name := range names {
			calls := undisturbed(t, lab, m, name, func(string) {})
			whole := crashLook(t, m.Path(crashDir(name, 0)))
			for at := 1; at <= len(calls); at++ {
				if !crashesHere(i, at) {
					continue
				}
				what, dir := fmt.Sprintf("%s, killed at %d of %v", name, at, calls), m.Path(crashDir(name, at))
				lab.Shell(dir, crashSteps[name].prepare)
				engine := m.Engine()
				trace := lab.Trace(engine, at, 0)
				if err := crashSteps[name].do(dir); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if _, killed := trace.Stop(); killed {
					m.Killed()
					m.NextEngine(engine)
				}
				testfs.Same(t, what, crashLook(t, dir), "without a crash", whole)
				want[crashDir(name, at)] = whole
				inodes[crashDir(name, at)] = numbers(t, dir)
			}
		}
		m.Unmount()
		lab.Actor("fsck", m.Upper).OK()
		again := lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper})
		for dir, whole := range want {
			testfs.Same(t, "after a remount "+dir, crashLook(t, again.Path(dir)), "without a crash", whole)
			if got := numbers(t, again.Path(dir)); !maps.Equal(got, inodes[dir]) {
				t.Errorf("after a remount %s has the numbers %v, want %v", dir, got, inodes[dir])
			}
		}
		again.Unmount()
		t.Logf("%d crashes", len(want))
	})
}

// TestACrashOfEverythingAtEachStep: the mount is gone. With the next one the tree is as before the step or as after it, and
// nothing is left that fsck would find.
func TestACrashOfEverythingAtEachStep(t *testing.T) {
	t.Parallel()
	eachStep(t, func(t *testing.T, lab *testfs.Lab, origin string, names []string) {
		spec := testfs.Spec{Origin: origin, Upper: lab.Path("upper")}
		m := lab.Mount(spec)
		crashed := 0
		for i, name := range names {
			paths := make(map[uint64]string)
			calls := undisturbed(t, lab, m, name, func(dir string) {
				for path, ino := range numbers(t, dir) {
					paths[ino] = path
				}
			})
			after, from := crashLook(t, m.Path(crashDir(name, 0))), make(map[string]string)
			for path, ino := range numbers(t, m.Path(crashDir(name, 0))) {
				from[path] = paths[ino]
			}
			for at := 1; at <= len(calls); at++ {
				if !crashesHere(i, at) {
					continue
				}
				what, dir := fmt.Sprintf("%s, killed at %d of %v", name, at, calls), m.Path(crashDir(name, at))
				lab.Shell(dir, crashSteps[name].prepare)
				before, inodes := crashLook(t, dir), numbers(t, dir)
				engine := m.Engine()
				trace := lab.Trace(engine, at, m.PID)
				err := crashSteps[name].do(dir)
				_, killed := trace.Stop()
				if err != nil && (!killed || !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED)) {
					t.Errorf("%s: %v", what, err)
				}
				if killed {
					m.Died(engine)
					m = lab.Mount(spec)
					crashed++
				}
				got := crashLook(t, m.Path(crashDir(name, at)))
				if !maps.Equal(got, before) || err == nil {
					if left := crashSteps[name].leaves; err != nil && left != "" {
						maps.DeleteFunc(got, func(path, line string) bool {
							return (path == left || strings.HasPrefix(path, left+"/")) && line == before[path]
						})
					}
					testfs.Same(t, what, withoutTimes(got), "after it", withoutTimes(after))
					sameNumbers(t, what, numbers(t, m.Path(crashDir(name, at))), inodes, from)
				} else {
					sameNumbers(t, what, numbers(t, m.Path(crashDir(name, at))), inodes, nil)
				}
				m.Unmount()
				lab.Actor("fsck", spec.Upper).OK()
				m = lab.Mount(spec)
			}
		}
		m.Unmount()
		t.Logf("%d crashes", crashed)
	})
}

var modified = regexp.MustCompile(` mtime .*`)

// crashLook is a snapshot without the times of directories: a crash may come after a file was copied up into one, and before the
// directory got its time back.
func crashLook(t *testing.T, dir string) testfs.Snapshot {
	t.Helper()
	s := testfs.Take(t, dir, testfs.Look{Before: old})
	for path, line := range s {
		if strings.HasPrefix(line, "mode 4") {
			s[path] = modified.ReplaceAllString(line, "")
		}
	}
	return s
}

// withoutTimes is for what was not acknowledged: a file is copied up truncated before it gets the time of that.
func withoutTimes(s testfs.Snapshot) testfs.Snapshot {
	out := make(testfs.Snapshot)
	for path, line := range s {
		out[path] = modified.ReplaceAllString(line, "")
	}
	return out
}

// undisturbed performs a step where nothing crashes, and returns its system calls.
func undisturbed(t *testing.T, lab *testfs.Lab, m *testfs.Mount, name string, before func(dir string)) []string {
	t.Helper()
	dir := m.Path(crashDir(name, 0))
	lab.Shell(dir, crashSteps[name].prepare)
	before(dir)
	trace := lab.Trace(m.Engine(), 0, 0)
	err := crashSteps[name].do(dir)
	calls, _ := trace.Stop()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(calls) == 0 {
		t.Fatalf("%s: no system calls", name)
	}
	return calls[:min(len(calls), crashes-1)] // there may be answers to what the kernel asks by itself
}

// numbers returns the inode number of each path.
func numbers(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	all := make(map[string]uint64)
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		all["."+strings.TrimPrefix(path, dir)] = st.Ino
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// sameNumbers compares with those before a step. from says where each path was then, "" of one that is new; nil: where it is.
func sameNumbers(t *testing.T, what string, got, before map[string]uint64, from map[string]string) {
	t.Helper()
	for path, ino := range got {
		was := path
		if from != nil {
			was = from[path]
		}
		if want, ok := before[was]; ok && ino != want {
			t.Errorf("%s: %s has the number %x, want %x", what, path, ino, want)
		}
	}
}
