package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// task is what a workload's process is told.
type task struct {
	Workload string
	Root     string // the tree to work in
	Outside  string // a directory on the same ground, outside the contender
	Manifest string // file
	Prime    string // a build cache to start from
	Round    int
	Scale    scale
}

// outcome is what it answers.
type outcome struct {
	Nanos int64 // in the hot loop
	tally
	Error string // not empty: the rest means nothing
}

// tally is a workload's own account.
type tally struct {
	Ops   int    // operations in the hot loop
	Check string // what was seen and done; the same for every contender
}

// probe is a task being carried out: what workloads use.
type probe struct {
	task
	*manifest
	forget  func() error // makes the kernel forget names and inodes
	elapsed time.Duration
}

// time runs the hot loop and adds its duration to the result.
func (p *probe) time(loop func() error) error {
	began := time.Now()
	err := loop()
	p.elapsed += time.Since(began)
	return err
}

// workDir makes an empty directory in the tree for this workload and round, and returns how to remove it.
func (p *probe) workDir() (string, func() error, error) {
	dir := filepath.Join(p.Root, ownDir, fmt.Sprintf("work-%s-%d", p.Workload, p.Round))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

// serveTask is the main function of a workload's process.
func serveTask(in io.Reader, out io.Writer) error {
	var t task
	if err := json.NewDecoder(in).Decode(&t); err != nil {
		return fmt.Errorf("read the task: %w", err)
	}
	debug.SetGCPercent(-1) // a collection in a hot loop is noise, and no workload allocates much
	o := t.run()
	return json.NewEncoder(out).Encode(o)
}

// run carries the task out in this process.
func (t task) run() outcome {
	w, ok := findWorkload(t.Workload)
	if !ok {
		return outcome{Error: fmt.Sprintf("unknown workload %q", t.Workload)}
	}
	m, err := loadManifest(t.Manifest)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	p := &probe{task: t, manifest: m, forget: dropEntries}
	return p.measure(w)
}

// measure runs one workload.
func (p *probe) measure(w workload) outcome {
	got, err := w.run(p)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	if got.Ops < 1 || p.elapsed <= 0 {
		return outcome{Error: "nothing was timed"}
	}
	return outcome{Nanos: p.elapsed.Nanoseconds(), tally: got}
}

// runChild carries the task out in a new process, for at most the timeout.
func (t task) runChild(ctx context.Context, timeout time.Duration) (outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	in, err := json.Marshal(t)
	if err != nil {
		return outcome{}, err
	}
	cmd := exec.CommandContext(ctx, self)
	// No preemption signals: on FUSE each one that meets a waiting request becomes an INTERRUPT.
	cmd.Env = append(os.Environ(), roleVar+"="+roleWorkload, "GODEBUG=asyncpreemptoff=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	// A build's compilers are its children: a timeout ends the group.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &said
	if err := cmd.Run(); err != nil {
		return outcome{}, fmt.Errorf("%w: %s", errors.Join(err, context.Cause(ctx)), strings.TrimSpace(said.String()))
	}
	var o outcome
	if err := json.NewDecoder(&out).Decode(&o); err != nil {
		return outcome{}, fmt.Errorf("read the outcome: %w", err)
	}
	if o.Error != "" {
		return outcome{}, errors.New(o.Error)
	}
	return o, nil
}
