package fusebridge

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
)

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/a`: "/a", `/a\040b`: "/a b", `\011\012\134`: "\t\n\\", `/a\134040`: `/a\040`, "/日本": "/日本",
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// mountTmpfs mounts one for the time of the test.
func mountTmpfs(t *testing.T, source, path string) {
	t.Helper()
	check(t, unix.Mount(source, path, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { check(t, unix.Unmount(path, unix.MNT_DETACH)) })
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain", "two words", "tab\there", "back\\slash"} {
		path := filepath.Join(dir, name)
		check(t, os.Mkdir(path, 0o755))
		if _, err := Find(path); !errors.Is(err, actors.ErrUnmounted) {
			t.Errorf("%q: %v", path, err)
		}
		mountTmpfs(t, "my source", path)
		m, err := Find(path)
		if err != nil || m.Mountpoint != path || m.Type != "tmpfs" || m.Source != "my source" || !strings.Contains(m.Device, ":") {
			t.Errorf("%q: %+v, %v", path, m, err)
		}
	}
	plain := filepath.Join(dir, "plain")
	mountTmpfs(t, "on top", plain)
	if m, err := Find(plain); err != nil || m.Source != "on top" {
		t.Errorf("%+v, %v: the topmost counts", m, err)
	}
	check(t, os.Symlink(dir, filepath.Join(dir, "link")))
	if m, err := Find(filepath.Join(dir, "link", ".", "plain") + "/"); err != nil || m.Mountpoint != plain {
		t.Errorf("by way of a link: %+v, %v", m, err)
	}
	if _, err := Find(filepath.Join(dir, "no", "such", "place")); !errors.Is(err, actors.ErrUnmounted) {
		t.Errorf("a place that is not: %v", err)
	}
	if ours, err := Ours(); err != nil {
		t.Error(err)
	} else {
		for _, m := range ours {
			if m.Type != "fuse.antares-actor" {
				t.Errorf("%+v is not ours", m)
			}
		}
	}
}

func TestHolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "held")
	check(t, os.Mkdir(dir, 0o755))
	if h := Holders(dir); len(h) != 0 {
		t.Errorf("%v", h)
	}
	if !strings.Contains(Describe(nil), "cannot be seen") {
		t.Error("nobody is nobody")
	}
	file := filepath.Join(dir, "file")
	check(t, os.WriteFile(file, []byte("text"), 0o600))
	for how, cmd := range map[string]*exec.Cmd{
		"working directory": in(dir, exec.Command("sleep", "60")),
		"open file " + file: exec.Command("sh", "-c", "exec sleep 60 <"+file),
	} {
		check(t, cmd.Start())
		var got []Holder
		waitFor(t, func() bool { got = Holders(dir); return len(got) == 1 && got[0].Command == "sleep" })
		if got[0].PID != cmd.Process.Pid || got[0].How != how {
			t.Errorf("%+v, want %s", got, how)
		}
		if text := Describe(got); !strings.HasPrefix(text, "held by sleep (pid ") || !strings.Contains(text, how) {
			t.Errorf("%s", text)
		}
		check(t, cmd.Process.Kill())
		_ = cmd.Wait() // killed
	}
	if h := Holders(dir[:len(dir)-1]); len(h) != 0 {
		t.Errorf("a name that begins alike: %v", h)
	}
}

func TestHoldersOfAMappedFile(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	sleep, err := exec.LookPath("sleep")
	check(t, err)
	text, err := os.ReadFile(sleep)
	check(t, err)
	check(t, os.WriteFile(program, text, 0o755))
	cmd := exec.Command(program, "60")
	check(t, cmd.Start())
	if got := Holders(dir); len(got) != 1 || got[0].How != "program" {
		t.Errorf("%+v", got)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	f, err := os.OpenFile(filepath.Join(dir, "data"), os.O_CREATE|os.O_RDWR, 0o600)
	check(t, err)
	check(t, f.Truncate(4096))
	m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	check(t, errors.Join(err, f.Close()))
	if got := Holders(dir); len(got) != 1 || got[0].How != "mapped file "+filepath.Join(dir, "data") || got[0].PID != os.Getpid() {
		t.Errorf("%+v", got)
	}
	check(t, unix.Munmap(m))
}

func in(dir string, cmd *exec.Cmd) *exec.Cmd {
	cmd.Dir = dir
	return cmd
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	check(t, errors.Join(os.Mkdir(dir+"/empty", 0o755), os.Mkdir(dir+"/full", 0o755), os.Mkdir(dir+"/taken", 0o755),
		os.WriteFile(dir+"/full/x", nil, 0o600)))
	mountTmpfs(t, "somebody", dir+"/taken")
	b := New(discard())
	for name, says := range map[string]string{
		"none": "does not exist: make the directory first", "full": "is not empty: choose an empty directory",
		"full/x": "is not a directory", "taken": "already mounted (somebody)", "full/x/y": "not a directory",
	} {
		err := b.Check(filepath.Join(dir, name), false)
		if !errors.Is(err, actors.ErrMount) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
	check(t, b.Check(dir+"/empty", false))
	if err := Unmount(dir + "/empty"); !errors.Is(err, actors.ErrUnmounted) {
		t.Errorf("%v", err)
	}
}
