package upper_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

const nobody = 65534

// TestWithoutPrivileges is what differs for a daemon that is not root. As root it runs itself again as somebody else.
func TestWithoutPrivileges(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsNobody(t)
		return
	}
	for name, test := range map[string]func(*testing.T, *fixture){
		"marks are user attributes":                        userMarks,
		"files belong to the daemon":                       ownFiles,
		"a file's mode does not keep the daemon out":       readOnlyFile,
		"a directory's mode does not keep the daemon out":  lockedDirectory,
		"a directory that is not writable can be orphaned": orphanReadOnly,
		"a directory that is not writable can be made":     makeReadOnly,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

func runAsNobody(t *testing.T) {
	t.Helper()
	dir := t.TempDir() // where the test's program is, only root may look
	check(t, errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)))
	program := filepath.Join(dir, "test")
	self, err := os.Open("/proc/self/exe")
	check(t, err)
	defer self.Close()
	copied, err := os.OpenFile(program, os.O_WRONLY|os.O_CREATE, 0o755)
	check(t, err)
	_, err = io.Copy(copied, self)
	check(t, errors.Join(err, copied.Close()))
	cmd := exec.Command(program, "-test.run=^TestWithoutPrivileges$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"TMPDIR=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS") != 7 {
		t.Errorf("%v\n%s", err, out)
	}
}

func userMarks(t *testing.T, f *fixture) {
	dir := f.dir("dir")
	check(t, f.MarkOpaque(dir))
	if f.xattr("dir", "user.overlay.opaque") != "y" {
		t.Error("not opaque")
	}
	check(t, f.SetXattr(dir, "user.overlay.opaque", []byte("n"), 0))
	if f.xattr("dir", "user.overlay.opaque") != "y" {
		t.Error("a user changed the mark")
	}
	check(t, f.Whiteout(f.Root(), "gone"))
	if !f.whiteout("gone") {
		t.Error("no whiteout")
	}
	for mode, marked := range map[uint32]bool{unix.S_IFREG: true, unix.S_IFDIR: true, unix.S_IFLNK: false, unix.S_IFIFO: false} {
		st, err := f.Stage(original(upper.Birth{Mode: mode | 0o644, Target: "x"}))
		check(t, err)
		check(t, f.Commit(st, f.Root(), "staged"))
		st.File.Release()
		if got := f.xattr("staged", "user.overlay.antares.ino") == string(mark); got != marked {
			t.Errorf("%o carries its number: %v, want %v", mode, got, marked)
		}
		check(t, os.Remove(f.path("staged")))
	}
}

func ownFiles(t *testing.T, f *fixture) {
	f.create("x", upper.Birth{Mode: unix.S_IFREG | 0o640, UID: 1000, GID: 1000})
	if st := f.stat("x"); st.Uid != nobody || st.Gid != nobody || st.Mode != unix.S_IFREG|0o640 {
		t.Errorf("%d:%d, mode %o", st.Uid, st.Gid, st.Mode)
	}
}

func readOnlyFile(t *testing.T, f *fixture) {
	f.create("x", upper.Birth{Mode: unix.S_IFREG | 0o444})
	file, err := f.OpenChild(f.Root(), "x", unix.S_IFREG)
	check(t, err)
	defer file.Release()
	if _, err := file.WriteAt([]byte("text"), 0); err != nil || f.read("x") != "text" {
		t.Errorf("write: %v", err)
	}
	if st := f.stat("x"); st.Mode != unix.S_IFREG|0o444 {
		t.Errorf("mode %o", st.Mode)
	}
}

func lockedDirectory(t *testing.T, f *fixture) {
	f.create("x", upper.Birth{Mode: unix.S_IFDIR | 0o300})
	dir, err := f.OpenChild(f.Root(), "x", unix.S_IFDIR)
	check(t, err)
	defer dir.Release()
	check(t, dir.Chmod(0o700))
	if st := f.stat("x"); st.Mode != unix.S_IFDIR|0o700 {
		t.Errorf("mode %o", st.Mode)
	}
}

func orphanReadOnly(t *testing.T, f *fixture) {
	f.create("x", upper.Birth{Mode: unix.S_IFDIR | 0o555})
	check(t, f.Orphan(f.Root(), "x", ino, true))
	check(t, f.Reap(ino, unix.S_IFDIR))
	if !f.whiteout("x") {
		t.Error("no whiteout")
	}
}

// makeReadOnly makes directories in the work directory and moves them out of it, which takes the right to write to them.
func makeReadOnly(t *testing.T, f *fixture) {
	list := f.dir("listed")
	check(t, f.SetXattr(list, "system.posix_acl_default", groupMayWrite, 0))
	for mode, dir := range map[uint32]*upper.File{0o555: f.Root(), 0o550: list} {
		check(t, f.Whiteout(dir, "x"))
		file, _, err := f.Create(dir, "x", upper.Birth{Mode: unix.S_IFDIR | 0o555})
		check(t, err)
		file.Release()
		if st, err := f.StatChild(dir, "x"); err != nil || st.Mode != unix.S_IFDIR|mode {
			t.Errorf("over a whiteout: mode %o, %v", st.Mode, err)
		}
		for _, mode := range []uint32{unix.S_IFDIR | 0o555, unix.S_IFREG | 0o444, unix.S_IFREG | 0o4040} {
			o := original(upper.Birth{Mode: mode})
			o.Xattrs = []upper.Xattr{{Name: "user.x", Value: []byte("x")}}
			st, err := f.Stage(o)
			check(t, err)
			check(t, f.Commit(st, dir, fmt.Sprint(mode)))
			st.File.Release()
			if st, err := f.StatChild(dir, fmt.Sprint(mode)); err != nil || st.Mode != mode {
				t.Errorf("copied up: mode %o, %v, want %o", st.Mode, err, mode)
			}
		}
	}
}
