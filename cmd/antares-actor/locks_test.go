package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func init() {
	roles["locks"] = locks
	roles["locker"] = locker
	roles["increment"] = increment
}

// lockKinds are the three kinds of locks that a process can take: whole files, ranges that belong to a process, ranges that
// belong to an open file.
var lockKinds = []string{"flock", "posix", "ofd"}

func TestLocksKeepProcessesApart(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		plain := lab.Checkout(repo.Dir, "HEAD")
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, dir := range []string{plain, m.Point} {
			writeFile(t, dir+"/born", "born in upper, and long enough for ranges\n")
		}
		for _, path := range []string{"large.bin", "born"} { // the first is copied up while it is locked
			want, got := lab.Role(plain, "locks", path), lab.Role(m.Point, "locks", path)
			if got != want {
				t.Errorf("%s: in the mount locks do\n%s\nin a plain directory\n%s", path, got, want)
			}
		}
	})
}

// locks has two other processes take and lose locks on a file, and says how each attempt ended.
func locks(args []string) error {
	for _, kind := range lockKinds {
		a, err := startLocker(args[0])
		if err != nil {
			return err
		}
		b, err := startLocker(args[0])
		if err != nil {
			return err
		}
		for _, step := range []struct {
			who  *lockerProcess
			what string
		}{
			{a, "shared 0 10"}, {b, "shared 0 10"}, {a, "exclusive 0 10"}, {b, "unlock 0 10"}, {a, "exclusive 0 10"}, {b, "shared 0 10"},
			{b, "exclusive 20 5"}, {a, "unlock 0 10"}, {b, "exclusive 5 10"}, {a, "write"}, {a, "exclusive 0 6"}, {a, "exclusive 0 5"},
			{b, "again"}, {a, "exclusive 0 0"}, {b, "close"}, {a, "exclusive 0 0"}, {b, "open"}, {b, "shared 1 1"}, {a, "exit"}, {b, "exclusive 0 0"}, {b, "exit"},
		} {
			said, err := step.who.do(kind + " " + step.what)
			if err != nil {
				return err
			}
			name := map[bool]string{true: "a", false: "b"}[step.who == a]
			fmt.Printf("%s %s %s: %s\n", kind, name, step.what, said)
		}
	}
	return nil
}

// lockerProcess is a process that does what it is told, a line each.
type lockerProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startLocker(path string) (*lockerProcess, error) {
	p := &lockerProcess{cmd: exec.Command("/proc/self/exe", path)}
	p.cmd.Env = append(os.Environ(), testfs.AsRole("locker")...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

func (p *lockerProcess) do(what string) (string, error) {
	if strings.HasSuffix(what, "exit") {
		return "", errors.Join(p.in.Close(), p.cmd.Wait())
	}
	if _, err := fmt.Fprintln(p.in, what); err != nil {
		return "", err
	}
	said, err := p.out.ReadString('\n')
	return strings.TrimSpace(said), err
}

func locker(args []string) error {
	fd, err := unix.Open(args[0], unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var kind, verb string
		var off, length int64
		_, _ = fmt.Sscan(lines.Text(), &kind, &verb, &off, &length)
		switch verb {
		case "write":
			err = second(unix.Pwrite(fd, []byte("x"), 0))
		case "again": // closing any descriptor of a file loses a process its POSIX locks
			var other int
			other, err = unix.Open(args[0], unix.O_RDONLY, 0)
			err = errors.Join(err, unix.Close(other))
		case "close":
			err = unix.Close(fd)
		case "open":
			fd, err = unix.Open(args[0], unix.O_RDWR|unix.O_CLOEXEC, 0)
		default:
			err = tryLock(fd, kind, verb, off, length)
		}
		fmt.Println(errname(err))
	}
	return lines.Err()
}

// tryLock locks or unlocks without waiting.
func tryLock(fd int, kind, verb string, off, length int64) error {
	if kind == "flock" {
		return unix.Flock(fd, map[string]int{"shared": unix.LOCK_SH, "exclusive": unix.LOCK_EX, "unlock": unix.LOCK_UN}[verb]|unix.LOCK_NB)
	}
	lock := unix.Flock_t{Type: map[string]int16{"shared": unix.F_RDLCK, "exclusive": unix.F_WRLCK, "unlock": unix.F_UNLCK}[verb], Start: off, Len: length}
	cmd := unix.F_SETLK
	if kind == "ofd" {
		cmd = unix.F_OFD_SETLK
	}
	return unix.FcntlFlock(uintptr(fd), cmd, &lock)
}

// TestCountersUnderLocksLoseNothing: a file of the origin and a new one, read and written under a lock that is waited for.
func TestCountersUnderLocksLoseNothing(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for _, kind := range lockKinds {
		files["counters/low-"+kind] = "0000000"
	}
	repo := importRepo(t, files)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		for _, kind := range lockKinds {
			writeFile(t, m.Path("counters", "new-"+kind), "0000000")
			for _, file := range []string{"low-", "new-"} {
				together(t, lab, 8, m.Path("counters"), "increment", file+kind, kind, "50")
				wantContent(t, m.Path("counters", file+kind), "0000400")
			}
		}
	})
}

// together runs a role in several processes at once.
func together(t *testing.T, lab *testfs.Lab, n int, dir, role string, args ...string) {
	t.Helper()
	done := make(chan testfs.Result)
	for id := range n {
		go func() {
			var r testfs.Result
			defer func() { done <- r }() // even if Run ends the goroutine
			r = lab.Run(testfs.Command{Dir: dir, Env: append(testfs.AsRole(role), "ANTARES_ID="+strconv.Itoa(id))}, os.Args[0], args...)
		}()
	}
	for range n {
		if r := <-done; r.Code != 0 {
			t.Errorf("%s %v: %s", role, args, r.Stderr)
		}
	}
}

// increment adds one to a number in a file, often.
func increment(args []string) error {
	path, kind := args[0], args[1]
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	for range n {
		if err := fdo(path, func(fd int) error { return incrementOnce(fd, kind) }); err != nil {
			return err
		}
	}
	return nil
}

func incrementOnce(fd int, kind string) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	var err error
	switch kind {
	case "flock":
		err = retry(func() error { return unix.Flock(fd, unix.LOCK_EX) })
	case "posix":
		err = retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_SETLKW, &lock) })
	case "ofd":
		err = retry(func() error { return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLKW, &lock) })
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	buf := make([]byte, 7)
	if _, err := unix.Pread(fd, buf, 0); err != nil {
		return err
	}
	n, err := strconv.Atoi(string(buf))
	if err != nil {
		return err
	}
	return second(unix.Pwrite(fd, fmt.Appendf(nil, "%07d", n+1), 0)) // closing the file unlocks it
}

// retry repeats what a signal interrupts.
func retry(do func() error) error {
	for {
		if err := do(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
