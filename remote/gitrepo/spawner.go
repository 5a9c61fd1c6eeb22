package gitrepo

import (
	"os/exec"
	"runtime"
	"syscall"
)

// spawner starts processes on one OS thread that lives as long as it does. The kernel ties Pdeathsig to the thread that
// forked, not to the process: a child started from a goroutine whose locked thread later ends would be killed with it.
type spawner struct {
	jobs chan func() // closed by close
}

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// start starts cmd such that it dies with us and is in no terminal's foreground process group.
func (s *spawner) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	done := make(chan error, 1)
	s.jobs <- func() { done <- cmd.Start() }
	return <-done
}

// close ends the thread's goroutine; no start may follow.
func (s *spawner) close() { close(s.jobs) }
