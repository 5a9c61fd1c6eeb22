package testfs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Tracer follows the system calls by which a server changes something, in the order in which it makes them, and can kill it as
// it is about to make one: that call is not made, everything before is. So a test can have a crash at each step of an
// operation, while the program is the one that users have.
//
// It is a process of its own: whoever traces waits for children, and a test has others.
type Tracer struct {
	lab *Lab
	cmd *exec.Cmd
	in  io.Closer
	out *json.Decoder
}

// Traced is what a tracer saw.
type Traced struct {
	Calls  []string // what each call was, the one at which it killed included
	Killed bool
	Error  string
}

// TraceRole is the role that a test binary gives its tracers: TraceRole's function by that name.
const TraceRole = "trace"

// Trace follows the process pid, and kills it when it is about to make its at-th such call, and another one, if that is not 0,
// just before.
func (l *Lab) Trace(pid, at, other int) *Tracer {
	l.t.Helper()
	cmd := exec.Command(testBinary(l.t), strconv.Itoa(pid), strconv.Itoa(at), strconv.Itoa(other))
	cmd.Env, cmd.Stderr = append(l.Env(), AsRole(TraceRole)...), os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		l.t.Fatal(err)
	}
	tr := &Tracer{lab: l, cmd: cmd, in: in, out: json.NewDecoder(out)}
	var ready Traced
	if err := tr.out.Decode(&ready); err != nil || ready.Error != "" {
		l.t.Fatalf("trace %d: %v %s", pid, err, ready.Error)
	}
	return tr
}

// Stop ends it, and returns what it saw.
func (tr *Tracer) Stop() (calls []string, killed bool) {
	tr.lab.t.Helper()
	_ = tr.in.Close()
	var seen Traced
	err := tr.out.Decode(&seen)
	if err := errors.Join(err, tr.cmd.Wait()); err != nil || seen.Error != "" {
		tr.lab.t.Fatalf("trace: %v %s", err, seen.Error)
	}
	return seen.Calls, seen.Killed
}

// TraceProcess is what a tracer does.
func TraceProcess(args []string) error {
	numbers := make([]int, 3)
	for i := range numbers {
		n, err := strconv.Atoi(args[i])
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	tr := &tracing{pid: numbers[0], at: numbers[1], other: numbers[2], threads: make(map[int]bool)}
	runtime.LockOSThread() // a tracer is a thread
	out := json.NewEncoder(os.Stdout)
	if err := tr.seize(); err != nil {
		return out.Encode(Traced{Error: err.Error()})
	}
	if err := out.Encode(Traced{}); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		tr.stop.Store(true)
		_ = unix.Kill(tr.pid, unix.SIGURG) // means nothing to a Go program, but stops it for us
	}()
	if err := tr.follow(); err != nil {
		tr.seen.Error = err.Error()
	}
	return out.Encode(tr.seen)
}

// tracing is a tracer's state.
type tracing struct {
	pid, at, other int
	stop           atomic.Bool
	threads        map[int]bool
	seen           Traced
}

// changing are the system calls that change files, or answer the kernel. What a write writes to is looked up.
var changing = map[uint64]string{
	unix.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename", unix.SYS_LINKAT: "link", unix.SYS_UNLINKAT: "unlink", unix.SYS_MKDIRAT: "mkdir",
	unix.SYS_MKNODAT: "mknod", unix.SYS_SYMLINKAT: "symlink", unix.SYS_OPENAT: "create", unix.SYS_FTRUNCATE: "truncate",
	unix.SYS_FALLOCATE: "fallocate", unix.SYS_FCHMOD: "chmod", unix.SYS_FCHMODAT: "chmod", unix.SYS_FCHOWNAT: "chown", unix.SYS_UTIMENSAT: "utimes",
	unix.SYS_SETXATTR: "setxattr", unix.SYS_FSETXATTR: "setxattr", unix.SYS_FREMOVEXATTR: "removexattr", unix.SYS_COPY_FILE_RANGE: "copy",
	unix.SYS_PWRITE64: "write", unix.SYS_WRITE: "write", unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fsync",
}

const (
	ptraceOptions = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACESYSGOOD
	systemCall    = unix.SIGTRAP | 0x80
)

func ptrace(request, tid int, addr, data uintptr) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// seize attaches to all threads. There may be new ones meanwhile.
func (tr *tracing) seize() error {
	for found := true; found; {
		found = false
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", tr.pid))
		if err != nil || len(tasks) == 0 {
			return fmt.Errorf("no such process: %w", err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			if err != nil || tr.threads[tid] {
				continue
			}
			err = ptrace(unix.PTRACE_SEIZE, tid, 0, ptraceOptions)
			if errors.Is(err, unix.ESRCH) {
				continue
			}
			if err != nil && !errors.Is(err, unix.EPERM) { // EPERM: it is ours already, made by a thread that was
				return fmt.Errorf("seize: %w", err)
			}
			tr.threads[tid], found = true, true
			_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0)
		}
	}
	return nil
}

// follow lets the threads run from one system call to the next.
func (tr *tracing) follow() error {
	for {
		var status unix.WaitStatus
		tid, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == unix.ECHILD: // all are gone
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case !status.Stopped():
			delete(tr.threads, tid)
			continue
		}
		tr.threads[tid] = true
		if tr.stop.Load() && !tr.seen.Killed {
			return tr.detach(tid, status)
		}
		if err := tr.stopped(tid, status); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
}

// stopped handles one stop of one thread, and lets it go on.
func (tr *tracing) stopped(tid int, status unix.WaitStatus) error {
	signal := uintptr(0)
	switch {
	case status.StopSignal() == systemCall:
		if err := tr.call(tid); err != nil {
			return err
		}
	case status>>16 == 0:
		signal = uintptr(status.StopSignal())
	}
	return ptrace(unix.PTRACE_SYSCALL, tid, 0, signal)
}

// syscallInfo is struct ptrace_syscall_info, at the entry of a system call.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	arch uint32
	ip   uint64
	sp   uint64
	nr   uint64
	args [6]uint64
}

// call looks at a thread that enters or leaves a system call.
func (tr *tracing) call(tid int) error {
	const entry = 1 // PTRACE_SYSCALL_INFO_ENTRY
	var info syscallInfo
	if err := ptrace(unix.PTRACE_GET_SYSCALL_INFO, tid, unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info))); err != nil {
		return err
	}
	name, ok := changing[info.nr]
	if info.op != entry || tr.seen.Killed || !ok || info.nr == unix.SYS_OPENAT && info.args[2]&unix.O_CREAT == 0 {
		return nil
	}
	if name == "write" {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", tr.pid, info.args[0]))
		switch {
		case to == "/dev/fuse":
			name = "answer"
		case strings.HasPrefix(to, "/memfd:"):
			name = "journal"
		case info.nr == unix.SYS_WRITE:
			return nil // the log, or a pipe of its own
		}
	}
	tr.seen.Calls = append(tr.seen.Calls, name)
	if len(tr.seen.Calls) != tr.at {
		return nil
	}
	tr.seen.Killed = true
	if tr.other != 0 { // they would start each other again
		_ = unix.Kill(tr.pid, unix.SIGSTOP)
		_ = unix.Kill(tr.other, unix.SIGKILL)
	}
	return unix.Kill(tr.pid, unix.SIGKILL)
}

// detach lets all threads go. The one that has stopped is the first.
func (tr *tracing) detach(tid int, status unix.WaitStatus) error {
	for {
		signal := uintptr(0)
		if status>>16 == 0 && status.StopSignal() != systemCall && status.StopSignal() != unix.SIGURG {
			signal = uintptr(status.StopSignal())
		}
		if err := ptrace(unix.PTRACE_DETACH, tid, 0, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("detach: %w", err)
		}
		delete(tr.threads, tid)
		for other := range tr.threads {
			if errors.Is(ptrace(unix.PTRACE_INTERRUPT, other, 0, 0), unix.ESRCH) {
				delete(tr.threads, other)
			}
		}
		if len(tr.threads) == 0 {
			return nil
		}
		var err error
		for {
			if tid, err = unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil); err != unix.EINTR {
				break
			}
		}
		if err == unix.ECHILD {
			return nil
		}
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if !status.Stopped() {
			delete(tr.threads, tid)
		}
	}
}
