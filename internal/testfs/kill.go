package testfs

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// processes are a mount's.
type processes struct {
	Mountpoint  string
	PID, Engine int // one process if there is no keeper
}

// listed returns what the program's list says of the mount.
func (m *Mount) listed() (processes, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.lab.Program(), "list", "--json")
	cmd.Env, cmd.Stderr = m.lab.Env(), os.Stderr
	out, err := cmd.Output()
	var all []processes
	if err != nil || json.Unmarshal(out, &all) != nil {
		return processes{}, false
	}
	for _, r := range all {
		if r.Mountpoint == m.Point {
			return r, r.PID > 0
		}
	}
	return processes{}, false
}

// Engine returns the process that serves.
func (m *Mount) Engine() int {
	m.lab.t.Helper()
	r, ok := m.listed()
	if !ok {
		m.lab.t.Fatalf("list does not have %s\n%s", m.Point, tail(m.Log()))
	}
	return r.Engine
}

// Kill kills the keeper and the engine. The mount stays, dead; Unmount only takes it away then.
func (m *Mount) Kill() {
	m.lab.t.Helper()
	m.once.Do(func() {})
	engine := m.Engine()
	_ = unix.Kill(engine, unix.SIGSTOP) // or it would start another keeper
	_ = unix.Kill(m.PID, unix.SIGKILL)
	_ = unix.Kill(engine, unix.SIGKILL)
	m.wait()
	waitForProcess(engine)
}

// Died is Kill where somebody else has killed both.
func (m *Mount) Died(engine int) {
	m.lab.t.Helper()
	m.once.Do(func() {})
	m.wait()
	waitForProcess(engine)
}

// Killed says that somebody else has killed the engine, which the log may say.
func (m *Mount) Killed() { m.killed.Store(true) }

// KillEngine kills the engine, which the keeper starts again, and returns which process it was.
func (m *Mount) KillEngine() int {
	m.lab.t.Helper()
	m.killed.Store(true)
	engine := m.Engine()
	_ = unix.Kill(engine, unix.SIGKILL)
	waitForProcess(engine)
	return engine
}

// StopEngine stops the engine, which the keeper then kills and starts again, and returns which process it was.
func (m *Mount) StopEngine() int {
	m.lab.t.Helper()
	m.killed.Store(true)
	engine := m.Engine()
	_ = unix.Kill(engine, unix.SIGSTOP)
	return engine
}

// NextEngine returns the process that serves after another one was killed, when it does.
func (m *Mount) NextEngine(killed int) int {
	m.lab.t.Helper()
	for end := time.Now().Add(endLimit); ; time.Sleep(5 * time.Millisecond) {
		if r, ok := m.listed(); ok && r.Engine != killed {
			return r.Engine
		}
		if time.Now().After(end) {
			m.abort("the engine has no successor")
			m.lab.t.FailNow()
		}
	}
}

// KillKeeper kills the keeper, and returns when the engine has started another one.
func (m *Mount) KillKeeper() {
	m.lab.t.Helper()
	m.killed.Store(true)
	before := m.PID
	_ = unix.Kill(before, unix.SIGKILL)
	<-m.ended
	for end := time.Now().Add(endLimit); ; time.Sleep(5 * time.Millisecond) {
		if r, ok := m.listed(); ok && r.PID != before {
			m.PID = r.PID
			break
		}
		if time.Now().After(end) {
			m.abort("the keeper has no successor")
			m.lab.t.FailNow()
		}
	}
	m.state, m.ended = nil, make(chan struct{}) // it is nobody's child
	m.awaitEnd()
}

// awaitEnd closes ended when the keeper, which is not our child, has ended.
func (m *Mount) awaitEnd() {
	pid, ended := m.PID, m.ended
	go func() {
		waitForProcess(pid)
		close(ended)
	}()
}

// waitForProcess returns when a process that is not our child has ended.
func waitForProcess(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || err != nil && err != unix.EINTR { // a bare errno
			return
		}
	}
}

// dump has the engine dump its goroutines, and kills the mount's processes.
func (m *Mount) dump() {
	r, ok := m.listed()
	if !ok {
		r = processes{PID: m.PID, Engine: m.PID}
	}
	if r.PID != r.Engine {
		_ = unix.Kill(r.PID, unix.SIGSTOP) // or it would start another engine
	}
	dumped := make(chan struct{})
	go func() {
		waitForProcess(r.Engine)
		close(dumped)
	}()
	_ = unix.Kill(r.Engine, unix.SIGQUIT)
	select {
	case <-dumped:
	case <-time.After(5 * time.Second):
	}
	_ = unix.Kill(r.PID, unix.SIGKILL)
	_ = unix.Kill(r.Engine, unix.SIGKILL)
}
