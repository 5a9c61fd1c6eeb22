package keeper

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spawn starts a process in a session of its own: a terminal's interrupt must come from the keeper alone, once. It gets the
// stored descriptors from firstPassed on, then the further ones.
func spawn(argv []string, s *stored, further []int, env ...string) (pid, pidfd int, err error) {
	files := []uintptr{0, 1, 2}
	for _, fd := range append(append([]int(nil), s.fds...), further...) {
		files = append(files, uintptr(fd))
	}
	env = append(Unsupervised(os.Environ()), env...)
	if len(s.fds) > 0 {
		env = append(env, "LISTEN_FDS="+strconv.Itoa(len(s.fds)), "LISTEN_FDNAMES="+s.list())
	}
	pidfd = -1
	pid, err = syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	})
	if err != nil {
		return 0, -1, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return pid, pidfd, nil
}

// after returns the number that a further descriptor has in a process that spawn starts.
func after(s *stored, i int) int { return firstPassed + len(s.fds) + i }

// engine is the process that serves, as its keeper sees it.
type engine struct {
	pid   int
	pidfd int
	sock  int  // our end of the socket pair, -1 when the other end is closed
	child bool // of ours, or adopted

	started    time.Time
	ready      time.Time // zero: not yet
	takesOver  bool      // what an earlier one served
	heard      time.Time // when it last said that it is alive, or began to take over
	quit       time.Time // when it was told to dump its goroutines; zero: it was not
	introduced bool      // it can take signals
	told       []unix.Signal
	toldAt     time.Time // when it was told the last one
	stopping   bool
	exits      bool // it said that it ends on purpose, with status
	status     int
	killed     bool   // by us
	session    string // what it said of the sessions that it understands
	standby    bool   // it could take over now
}

// start starts an engine, with what an earlier one stored.
func (k *keeper) start() (err error) {
	k.engine, err = k.newEngine(k.program)
	return err
}

func (k *keeper) newEngine(program string, env ...string) (*engine, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	argv := append([]string{program}, k.cfg.Engine...)
	env = append(env, fmt.Sprintf("%s=%d", envSocket, after(&k.files, 0)))
	pid, pidfd, err := spawn(argv, &k.files, pair[1:], env...)
	_ = unix.Close(pair[1])
	if err == nil && pidfd < 0 {
		pidfd, err = unix.PidfdOpen(pid, 0)
	}
	if err != nil {
		_ = unix.Close(pair[0])
		return nil, err
	}
	k.oom.give(pid)
	now := time.Now()
	return &engine{pid: pid, pidfd: pidfd, sock: pair[0], child: true, started: now, heard: now, takesOver: k.files.mounted()}, nil
}

// adopt takes the engine over that started us.
func (k *keeper) adopt(env map[string]string) error {
	n, err := numbers(env[envAdopt], 3)
	if err != nil {
		return err
	}
	unix.CloseOnExec(n[0])
	unix.CloseOnExec(n[1])
	now := time.Now()
	k.engine = &engine{sock: n[0], pidfd: n[1], pid: n[2], started: now, heard: now}
	if k.files, err = received(env); err != nil {
		return err
	}
	k.engine.takesOver = k.files.mounted() // if it is not ready yet
	_ = k.engine.tell("READY=1")           // it may be dead already, which is what we are for
	return nil
}

// reap waits for an engine that has ended, and says how it did. Of one that is not our child nobody knows.
func (e *engine) reap() unix.WaitStatus {
	var ws unix.WaitStatus = 1 << 8 // exit status 1
	for e.child {
		if _, err := unix.Wait4(e.pid, &ws, 0, nil); err != unix.EINTR { // a bare errno
			break
		}
	}
	_ = unix.Close(e.pidfd)
	e.closeSocket()
	return ws
}

func (e *engine) closeSocket() {
	if e.sock >= 0 {
		_ = unix.Close(e.sock)
		e.sock = -1
	}
}

func (e *engine) signal(s unix.Signal) { _ = unix.PidfdSendSignal(e.pidfd, s, nil, 0) }

// order asks something of the engine. It is not waited for: one that does not read does nothing either.
func (e *engine) order(o Order) error { return e.tell("ANTARES_ORDER=" + string(o)) }

func (e *engine) tell(message string) error {
	_, err := unix.SendmsgN(e.sock, []byte(message), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return err
}

// program is the path of this program: of the very file that runs, though another one may stand there meanwhile.
func program() string {
	const self = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return self
	}
	there, err := os.Stat(path)
	running, err2 := os.Stat(self)
	if err != nil || err2 != nil || !os.SameFile(there, running) {
		return self
	}
	return path
}

// describe tells people how a process ended.
func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return "killed by signal " + strconv.Itoa(int(ws.Signal())) + " (" + ws.Signal().String() + ")"
	}
	return "exit status " + strconv.Itoa(ws.ExitStatus())
}
