package fusebridge

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/antares-actor/antares-actor/actors"
)

func TestEveryOperationThroughTheKernel(t *testing.T) {
	l := newLab(t, slog.LevelInfo, nil)
	for script, want := range map[string]string{
		"cat dir/a/b/c/deep.txt": "deep",
		"readlink link":          "README.md",
		"ls dir":                 "a\nb",
		"stat -c '%F %a' bin/run.sh dir empty link":                             "regular file 755\ndirectory 755\nregular empty file 644\nsymbolic link 777",
		"stat -c %s large.bin; tail -c 1 large.bin | wc -c":                     "3145745\n1",
		"echo 1 >new && mv new moved && cat moved && rm moved":                  "1",
		"mkdir d && rmdir d && ls -d d 2>/dev/null || echo gone":                "gone",
		"ln -s x sl && readlink sl && mkfifo ff && ls -F ff":                    "x\nff|",
		"echo a >h1 && ln h1 h2 && stat -c %h h1 h2":                            "2\n2",
		"echo more >>README.md && tail -n 1 README.md":                          "more",
		"chmod 600 binary && chown 3:4 binary && stat -c '%a %u:%g' binary":     "600 3:4",
		"touch -d @5 foo0 && stat -c %Y foo0 && truncate -s 1 foo0 && cat foo0": "5\n3",
		"mknod null c 1 3 && stat -c '%t:%T' null":                              "1:3",
		"mknod w c 0 0 2>/dev/null || echo refused":                             "refused",
		"fallocate -l 9 fa && stat -c %s fa && sync fa . && echo ok":            "9\nok",
		"cp foo.txt copy && cmp foo.txt copy && echo same":                      "same",
		"stat -f -c %l .":                     "255",
		"cat none 2>/dev/null || echo absent": "absent",
		"ls -A sub | wc -l":                   "0",
	} {
		l.want(script, want)
	}
	requests, refused := l.conn.Counts()
	for _, op := range []string{"INIT", "LOOKUP", "GETATTR", "READ", "WRITE", "MKNOD", "MKDIR", "RENAME2", "SETATTR", "LINK", "SYMLINK", "UNLINK", "RMDIR", "FALLOCATE", "FSYNC", "STATFS", "READLINK", "READDIRPLUS"} {
		if requests[op] == 0 && op != "RENAME2" {
			t.Errorf("no %s came: %v", op, requests)
		}
	}
	for what, n := range refused {
		op, errno, _ := strings.Cut(what, " ")
		if errno == "ENOSYS" && !strings.Contains("OPEN OPENDIR CREATE FLUSH ACCESS POLL", op) || n == 0 {
			t.Errorf("%s: %d times", what, n)
		}
	}
}

// boom panics on names that ask for it.
type boom struct{ *raw }

// Lookup implements fuse.RawFileSystem.
func (b boom) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if name == "boom" {
		panic("injected")
	}
	return b.raw.Lookup(cancel, h, name, out)
}

// Write implements fuse.RawFileSystem.
func (b boom) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if string(data) == "boom\n" {
		panic("injected")
	}
	return b.raw.Write(cancel, in, data)
}

func TestAHandlerThatPanicsAnswersEIOAndTheMountLives(t *testing.T) {
	l := newLab(t, slog.LevelInfo, func(r *raw) fuse.RawFileSystem { return boom{r} })
	for range 10 { // more than there are readers
		if said, ok := l.sh("cat boom"); ok || !strings.Contains(said, "Input/output error") {
			t.Errorf("says %q", said)
		}
		if said, ok := l.sh("echo boom >f"); ok || !strings.Contains(said, "I/O error") && !strings.Contains(said, "Input/output error") {
			t.Errorf("says %q", said)
		}
		l.want("cat foo.txt && echo fine >f && cat f", "2\nfine")
	}
	if log := l.log.String(); !strings.Contains(log, "handler panicked") || !strings.Contains(log, "injected") {
		t.Errorf("the log: %s", log)
	}
}

func TestABusyMountNamesItsHolder(t *testing.T) {
	l := newLab(t, slog.LevelInfo, nil)
	cmd := exec.Command("sh", "-c", "cd "+l.point+"/dir && echo ready && exec sleep 60")
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	_, err = out.Read(make([]byte, 6))
	check(t, err)
	waitFor(t, func() bool { h := Holders(l.point); return len(h) == 1 && h[0].Command == "sleep" })
	err = l.mount.Unmount(t.Context())
	if want := fmt.Sprintf("held by sleep (pid %d, working directory)", cmd.Process.Pid); !errors.Is(err, actors.ErrBusy) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	l.want("cat foo.txt", "2")
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	check(t, l.mount.Unmount(t.Context()))
}

func TestAnUnmountFromOutside(t *testing.T) {
	l := newLab(t, slog.LevelInfo, nil)
	l.want("cat foo.txt", "2")
	if out, err := exec.Command("umount", l.point).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	<-l.mount.Done()
	if err := l.conn.InvalidateInode(1); err == nil {
		t.Error("a notification was written to nobody")
	}
}

func TestADetachedMountLivesUntilItsHoldersLetGo(t *testing.T) {
	l := newLab(t, slog.LevelInfo, nil)
	cmd := exec.Command("sh", "-c", "cd "+l.point+" && echo ready && read go && cat foo.txt && cd /")
	in, err := cmd.StdinPipe()
	check(t, err)
	var out lockedBuffer
	cmd.Stdout = &out
	check(t, cmd.Start())
	waitFor(t, func() bool { return strings.Contains(out.String(), "ready") })
	check(t, Detach(l.point))
	if _, err := Find(l.point); err == nil {
		t.Error("the name is still mounted")
	}
	_, err = in.Write([]byte("\n"))
	check(t, err)
	check(t, cmd.Wait())
	if out.String() != "ready\n2\n" {
		t.Errorf("%q", out.String())
	}
	<-l.mount.Done()
}

func TestTheKernelIsToldToForget(t *testing.T) {
	l := newLab(t, slog.LevelInfo, nil)
	l.want("cat foo.txt; cat none 2>/dev/null || echo absent", "2\nabsent")
	before, _ := l.conn.Counts()
	l.want("cat foo.txt; cat none 2>/dev/null || echo absent", "2\nabsent")
	if after, _ := l.conn.Counts(); after["LOOKUP"] != before["LOOKUP"] || after["READ"] != before["READ"] {
		t.Errorf("%v became %v: what is warm was asked for again", before, after)
	}
	for _, err := range []error{
		l.conn.InvalidateEntry(1, "foo.txt"), l.conn.InvalidateEntry(1, "none"), l.conn.InvalidateInode(1),
		l.conn.InvalidateEntry(1, "never heard of"), l.conn.InvalidateInode(424242),
	} {
		check(t, err)
	}
	l.want("cat foo.txt; cat none 2>/dev/null || echo absent", "2\nabsent")
	if after, _ := l.conn.Counts(); after["LOOKUP"] != before["LOOKUP"]+2 {
		t.Errorf("%v became %v: both names should have been looked up again", before, after)
	}
}

func TestATraceLineTellsWhatHappened(t *testing.T) {
	l := newLab(t, slog.LevelDebug, nil)
	l.want("cat dir/a/same", "same")
	l.want("mkdir dir/d && echo x >dir/d/f && cat dir/none 2>/dev/null || echo absent", "absent")
	log := l.log.String()
	for _, want := range []string{
		"op=LOOKUP path=/dir/a/same owner=region/", "op=READ path=/dir/a/same owner=region/", "op=MKDIR path=/dir/d ",
		"op=MKNOD path=/dir/d/f ", "op=WRITE path=/dir/d/f ", "op=OPEN path=/dir/a/same ",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no line with %q in\n%s", want, log)
		}
	}
	for line := range strings.SplitSeq(log, "\n") {
		switch {
		case strings.Contains(line, "op=LOOKUP path=/dir/none "):
			if !strings.Contains(line, "layer=none errno=OK") {
				t.Errorf("an absence: %s", line)
			}
		case strings.Contains(line, "op=LOOKUP path=/dir/a/same "):
			if !strings.Contains(line, "layer=dicfuse errno=OK took=") || !strings.Contains(line, " pid=") {
				t.Errorf("%s", line)
			}
		case strings.Contains(line, "op=WRITE"):
			if !strings.Contains(line, "layer=upper") {
				t.Errorf("%s", line)
			}
		case strings.Contains(line, "op=OPEN "):
			if !strings.Contains(line, "errno=ENOSYS") {
				t.Errorf("%s", line)
			}
		}
	}
}

func TestTracingCostsNothingWhenItIsOff(t *testing.T) {
	if newTracer(nil, discard()) != nil {
		t.Error("a tracer without a debug log")
	}
	if l := newLab(t, slog.LevelInfo, nil); l.conn.transport.trace != nil {
		t.Error("a mount traces at level info")
	}
}

func TestAttachRefusesAMountpointThatIsGone(t *testing.T) {
	fds := descriptors(t)
	_, err := New(discard()).Attach(t.Context(), nil, actors.AttachOptions{Mountpoint: t.TempDir() + "/none", FsName: "x"})
	if now := descriptors(t); !errors.Is(err, actors.ErrMount) || now > fds { // fewer: of a test before, whose processes are reaped late
		t.Errorf("%v; %d descriptors, before it %d", err, now, fds)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(entries)
}
