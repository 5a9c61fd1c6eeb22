package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errHang is a run in which something gets nowhere.
var errHang = errors.New("hangs")

// watch ends the run when a program gets nowhere, or ends with an error.
func (r *run) watch(ctx context.Context, stop context.CancelCauseFunc) {
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		for _, p := range r.programs {
			switch {
			case p.over() && p.err != nil:
				stop(p.err)
			case !p.over() && p.still() > r.s.o.limit:
				stop(fmt.Errorf("%s %w: nothing new for %v", p.name, errHang, p.still().Round(time.Second)))
			}
		}
	}
}

// diagnose says what everybody waits for, and ends what waits for the mount.
func (r *run) diagnose(w io.Writer) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	fmt.Fprintln(w, "\n--- programs")
	for _, p := range r.programs {
		if p.over() {
			continue
		}
		last := p.report()
		fmt.Fprintf(w, "%s: %d operations, ready %t, %d cuts, nothing new for %v\n", p.name, last.Ops, last.Ready, last.Cuts, p.still().Round(time.Millisecond))
		for _, pid := range family(p.cmd.Process.Pid) {
			waits(w, pid)
		}
	}
	if r.s.mounted {
		fmt.Fprintf(w, "\n--- connection: %s requests wait\n", strings.TrimSpace(r.s.connection("waiting")))
		if v, err := r.k.find(ctx); err == nil {
			fmt.Fprintf(w, "served by %+v\n", v)
			waits(w, v.Keeper)
			_ = unix.Kill(v.Engine, unix.SIGQUIT) // it dumps its goroutines into the log
			_ = pause(ctx, 2*time.Second)
		}
		r.s.abort()
	}
}

// waits says in which system calls and where in the kernel the threads of a process wait.
func waits(w io.Writer, pid int) {
	cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	fmt.Fprintf(w, "  process %d: %s\n", pid, strings.ReplaceAll(string(cmd), "\x00", " "))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		call, _ := os.ReadFile(filepath.Join(task, "syscall"))
		stack, _ := os.ReadFile(filepath.Join(task, "stack"))
		if strings.Contains(string(stack), "futex") {
			continue // a thread of Go's that has nothing to do
		}
		fmt.Fprintf(w, "    thread %s: system call %s\n      %s\n", filepath.Base(task), strings.TrimSpace(string(call)),
			strings.ReplaceAll(strings.TrimSpace(string(stack)), "\n", "\n      "))
	}
}

// family returns a process and all that it started.
func family(pid int) []int {
	pids := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for child := range strings.FieldsSeq(string(b)) {
			n := 0
			if _, err := fmt.Sscan(child, &n); err == nil {
				pids = append(pids, family(n)...)
			}
		}
	}
	return pids
}

// connection returns a file of the mount's FUSE connection.
func (s *stage) connection(file string) string {
	b, err := os.ReadFile(s.control(file))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// control is the path of such a file. It needs the control file system, which is mounted here if it is nowhere else.
func (s *stage) control(file string) string {
	const usual = "/sys/fs/fuse/connections"
	root := usual
	if entries, _ := os.ReadDir(usual); len(entries) == 0 {
		root = filepath.Join(s.dir, "connections")
		if os.Mkdir(root, 0o755) == nil {
			_ = syscall.Mount("none", root, "fusectl", 0, "")
		}
	}
	return filepath.Join(root, fmt.Sprint(s.device), file)
}

// abort ends every call that waits for the mount.
func (s *stage) abort() {
	if err := os.WriteFile(s.control("abort"), []byte("1"), 0); err != nil {
		_ = unix.Unmount(s.point, unix.MNT_FORCE)
	}
}

// findDevice learns the number of the mount's connection from the mount table: a stat could wait.
func (s *stage) findDevice() error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == s.point {
			_, minor, _ := strings.Cut(fields[2], ":")
			s.device = minor // the last one is on top
		}
	}
	if s.device == "" {
		return fmt.Errorf("%s is not in the mount table", s.point)
	}
	return nil
}
