package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/antares-actor/antares-actor/internal/chaos/worker"
)

// program is a process of the run, seen from the run.
type program struct {
	name  string
	slow  bool // an operation of it is a whole build
	cmd   *exec.Cmd
	stdin io.WriteCloser
	log   string
	ended chan struct{} // closed when it has, with err
	err   error

	mu    sync.Mutex // held to read and write what follows
	last  worker.Report
	moved time.Time // when it last got somewhere
	asked bool      // it was told to come to its end
}

// start starts a process in a role.
func (s *stage) start(name string, job worker.Job) (*program, error) {
	job.Root, job.Seed, job.Cuts = s.point, s.o.seed, s.o.mode == modeBoth
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &program{name: name, slow: job.Role == "go build" || job.Role == "cmake" || job.Role == "fsx", ended: make(chan struct{}), log: filepath.Join(s.dir, strings.ReplaceAll(name, " ", "-")+".log"), moved: time.Now()}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(self)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = "/", append(s.env(), jobVar+"="+string(text)), log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.follow(out)
	return p, nil
}

// follow reads its reports until it ends.
func (p *program) follow(out io.Reader) {
	for reports := json.NewDecoder(out); ; {
		var r worker.Report
		if reports.Decode(&r) != nil {
			break
		}
		p.mu.Lock()
		if r.Ops != p.last.Ops || r.Ready != p.last.Ready || r.Cuts != p.last.Cuts {
			p.moved = time.Now()
		}
		p.last = r
		p.mu.Unlock()
	}
	err := p.cmd.Wait()
	if err != nil {
		said, _ := os.ReadFile(p.log)
		err = fmt.Errorf("%s: %w\n%s", p.name, err, tail(string(said)))
	} else if !p.wasAsked() {
		err = fmt.Errorf("%s: %w", p.name, errEarly)
	}
	p.err = err
	close(p.ended)
}

var errEarly = errors.New("it ended before it was told to")

func (p *program) report() worker.Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func (p *program) wasAsked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// until waits until it reports something.
func (p *program) until(ctx context.Context, so func(worker.Report) bool) error {
	for !so(p.report()) {
		if p.over() {
			return p.err
		}
		if err := pause(ctx, poll); err != nil {
			return err
		}
	}
	return nil
}

// still returns for how long it has got nowhere.
func (p *program) still() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.moved)
}

// over tells whether it has ended.
func (p *program) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// goOn says that there is a mount again.
func (p *program) goOn() error {
	_, err := io.WriteString(p.stdin, worker.Go+"\n")
	return err
}

// finish tells it to come to its end.
func (p *program) finish() {
	p.mu.Lock()
	p.asked, p.moved = true, time.Now()
	p.mu.Unlock()
	_ = p.stdin.Close()
}

// kill ends it and all that it started.
func (p *program) kill() {
	if !p.over() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// tail is as much of a log as a reader wants to see.
func tail(text string) string {
	const limit = 12 << 10
	if len(text) > limit {
		text = "...\n" + text[len(text)-limit:]
	}
	return strings.ToValidUTF8(text, "?")
}
