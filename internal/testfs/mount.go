package testfs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits for hangs: a mount is taken away as long as this before the tests' time is over, and a server may take so long to start
// or to end.
const (
	mountEarly = time.Minute
	endLimit   = 60 * time.Second
)

// Spec says what to mount. Only Origin is needed.
type Spec struct {
	Origin string
	Point  string   // default: a new directory of the lab
	Upper  string   // default: a new directory of the lab
	Cache  string   // default: the lab's, shared by its mounts
	Flags  []string // further ones
	Detach bool     // by --detach: the server is nobody's child
	EIO    bool     // requests may fail with EIO, and the log may have warnings of it
	Busy   bool     // the log may have an error: that it cannot be unmounted
}

// Mount is a mount that another process serves.
type Mount struct {
	lab   *Lab
	spec  Spec
	Point string
	Upper string
	PID   int // the keeper's

	logFile string
	stats   string
	ended   chan struct{} // closed when the server has ended
	state   *os.ProcessState
	timer   *time.Timer
	once    sync.Once
	result  Stats
	aborted sync.Once
	killed  atomic.Bool // an engine or keeper was: the log says so
}

// Stats is what the server writes when it ends.
type Stats struct {
	Commit         string
	OriginRequests uint64 `json:"origin_requests"`
	OriginBytes    uint64 `json:"origin_bytes"`
	Requests       map[string]uint64
	Errors         map[string]uint64
	Inodes         int
}

// Mount mounts, and returns when the mount can be used. It is unmounted with the test at the latest.
func (l *Lab) Mount(spec Spec) *Mount {
	l.t.Helper()
	n := fmtInt(l.number())
	m := &Mount{
		lab: l, spec: spec, Point: spec.Point, Upper: spec.Upper, ended: make(chan struct{}),
		logFile: l.Path("log" + n), stats: l.Path("stats" + n),
	}
	if m.Point == "" {
		m.Point = l.Mkdir("mnt" + n)
	}
	if m.Upper == "" {
		m.Upper = l.Path("upper" + n)
	}
	args := []string{"mount", "--origin", spec.Origin, "--upper", m.Upper, "--stats", m.stats}
	if spec.Cache != "" {
		args = append(args, "--cache", spec.Cache)
	}
	args = append(args, spec.Flags...)
	l.mu.Lock()
	l.mounts = append(slices.Clone(l.mounts), m)
	l.mu.Unlock()
	l.t.Cleanup(m.cleanup)
	m.timer = time.AfterFunc(l.patience(mountEarly), func() { m.abort("the mount's time is over") })
	if spec.Detach {
		m.startDetached(args)
	} else {
		m.startForeground(args)
	}
	return m
}

// Path returns a path in the mount.
func (m *Mount) Path(elem ...string) string {
	return filepath.Join(append([]string{m.Point}, elem...)...)
}

// InUpper returns the path of the same file in upper.
func (m *Mount) InUpper(elem ...string) string {
	return filepath.Join(append([]string{m.Upper}, elem...)...)
}

func (m *Mount) startForeground(args []string) {
	t := m.lab.t
	t.Helper()
	log, err := os.OpenFile(m.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(m.lab.Program(), append(args, m.Point)...)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", m.lab.Env(), log
	// A test binary that is killed leaves no mounts.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGTERM}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	m.PID = cmd.Process.Pid
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		said <- line
		_ = cmd.Wait()
		m.state = cmd.ProcessState
		close(m.ended)
	}()
	select {
	case line := <-said:
		if !strings.HasPrefix(line, "mounted ") {
			t.Fatalf("mount %v: %q\n%s", args, line, m.Log())
		}
	case <-time.After(endLimit):
		m.abort("it does not come up")
		t.FailNow()
	}
}

func (m *Mount) startDetached(args []string) {
	t := m.lab.t
	t.Helper()
	m.lab.Actor(append(args, "--detach", "--log-file", m.logFile, m.Point)...).OK()
	if r, ok := m.listed(); ok {
		m.PID = r.PID
	} else {
		t.Fatalf("list does not have %s", m.Point)
	}
	m.awaitEnd()
}

// Log returns what the server has logged.
func (m *Mount) Log() string {
	b, _ := os.ReadFile(m.logFile)
	return string(b)
}

// Mounted tells whether the mountpoint is in the mount table.
func (m *Mount) Mounted() bool {
	m.lab.t.Helper()
	points, err := Mounts(m.Point)
	if err != nil {
		m.lab.t.Fatal(err)
	}
	return len(points) > 0
}

// Unmount takes the mount away as umount(8) would, waits for the server to end, and checks what the package comment says.
// The second call only returns the first one's statistics.
func (m *Mount) Unmount() Stats {
	m.lab.t.Helper()
	m.once.Do(func() {
		m.lab.t.Helper()
		if err := Unmount(m.Point); err != nil {
			m.lab.t.Errorf("umount %s: %v: %s", m.Point, err, m.lab.Run(Command{}, "bash", "-c", "ls -ld /proc/[0-9]*/cwd /proc/[0-9]*/fd/* 2>/dev/null | grep "+m.Point).Stdout)
			return
		}
		m.ending()
	})
	return m.result
}

// Unmount is umount(2). It tries again while the mount is busy: the parallel tests of one process start programs, and each of
// these holds copies of all descriptors, those in this mount included, from its fork until the kernel closes them a little after
// its exec, which on a machine with much to do is a while. ForkLock covers the first part only.
func Unmount(point string) error {
	for end := time.Now().Add(endLimit); ; {
		syscall.ForkLock.RLock()
		err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
		syscall.ForkLock.RUnlock()
		if err != unix.EBUSY || time.Now().After(end) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Ended waits for the server to end after the test had it unmounted in some other way, and checks the same.
func (m *Mount) Ended() Stats {
	m.lab.t.Helper()
	m.once.Do(m.ending)
	return m.result
}

func (m *Mount) wait() {
	m.lab.t.Helper()
	select {
	case <-m.ended:
	case <-time.After(endLimit):
		m.abort("the server does not end")
	}
}

func (m *Mount) ending() {
	t := m.lab.t
	t.Helper()
	m.wait()
	m.timer.Stop()
	if m.Mounted() {
		t.Errorf("%s is still mounted", m.Point)
	}
	if m.state != nil && m.state.ExitCode() != 0 {
		t.Errorf("server of %s: %v", m.Point, m.state)
	}
	b, err := os.ReadFile(m.stats)
	if err == nil {
		err = json.Unmarshal(b, &m.result)
	}
	if err != nil {
		t.Errorf("statistics: %v", err)
	}
	for _, complaint := range m.complaints() {
		t.Error(complaint)
	}
}

// cleanup unmounts what the test did not, by force if need be.
func (m *Mount) cleanup() {
	t := m.lab.t
	t.Helper()
	defer m.aborted.Do(func() {}) // waits for one that is under way: it says so to the test
	defer m.timer.Stop()
	if !m.lab.failing() {
		m.Unmount()
	}
	if m.Mounted() || m.PID != 0 && !m.over() {
		m.once.Do(func() {})
		if Unmount(m.Point) != nil {
			m.abort("it cannot be unmounted")
		}
		m.wait()
	}
	if m.lab.failing() {
		t.Logf("log of %s:\n%s", m.Point, tail(m.Log()))
	}
}

func (m *Mount) over() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// abort has the server dump its goroutines and ends every call that waits for the mount.
func (m *Mount) abort(why string) {
	m.aborted.Do(func() {
		if m.PID != 0 && !m.over() {
			m.dump()
		}
		kept := m.keptElsewhere()
		err := forceUnmount(m.Point)
		m.lab.t.Errorf("mount %s aborted: %s (%v); in other mount name spaces: %q", m.Point, why, err, kept)
	})
}

// keptElsewhere returns the processes whose mount name spaces have the mount, one of which may keep its server alive.
func (m *Mount) keptElsewhere() (found []string) {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, proc := range procs {
		space, err := os.Readlink(proc + "/ns/mnt")
		table, rerr := os.ReadFile(proc + "/mountinfo")
		if err != nil || rerr != nil || space == own || !strings.Contains(string(table), m.Point+" ") {
			continue
		}
		name, _ := os.ReadFile(proc + "/comm")
		found = append(found, filepath.Base(proc)+" "+strings.TrimSpace(string(name)))
	}
	return found
}

func (l *Lab) failing() bool { return l.t.Failed() }

// tail is as much of a log as a reader wants to see.
func tail(log string) string {
	const limit = 24 << 10
	if len(log) > limit {
		log = "...\n" + log[len(log)-limit:]
	}
	return string(bytes.ToValidUTF8([]byte(log), []byte("?")))
}
