package testfs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mounts returns the mountpoints below dir, of any type.
func Mounts(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var points []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // no test has white space in a mountpoint
		if len(fields) > 4 && (fields[4] == dir || strings.HasPrefix(fields[4], dir+"/")) {
			points = append(points, fields[4])
		}
	}
	return points, lines.Err()
}

// Processes returns the processes but our own that run a program below dir, or have a path there in their environment: for a
// suite TMPDIR, for a lab HOME.
func Processes(dir string) []string {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	var found []string
	for _, proc := range procs {
		if filepath.Base(proc) == fmt.Sprint(os.Getpid()) {
			continue
		}
		exe, _ := os.Readlink(filepath.Join(proc, "exe"))
		env, _ := os.ReadFile(filepath.Join(proc, "environ"))
		if strings.HasPrefix(exe, dir+"/") || bytes.Contains(env, []byte("="+dir+"\x00")) || bytes.Contains(env, []byte("="+dir+"/")) {
			cmd, _ := os.ReadFile(filepath.Join(proc, "cmdline"))
			found = append(found, fmt.Sprintf("%s: %s", filepath.Base(proc), bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// leaveTime is how long a process that has been told to end may take: git's helpers end when the server does.
const leaveTime = 10 * time.Second

// leaks returns an error for what the tests left, and removes the mounts, since nobody else will.
func (s *Suite) leaks() error {
	points, err := Mounts(s.Dir)
	errs := []error{err}
	for _, p := range points {
		errs = append(errs, fmt.Errorf("mount %s", p), forceUnmount(p))
	}
	var procs []string
	for end := time.Now().Add(leaveTime); ; time.Sleep(20 * time.Millisecond) {
		if procs = Processes(s.Dir); len(procs) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, p := range procs {
		errs = append(errs, fmt.Errorf("process %s", p))
	}
	return errors.Join(errs...)
}

// forceUnmount ends every call that waits for the mount, and takes it away. For failures only.
func forceUnmount(point string) error {
	_ = unix.Unmount(point, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW) // busy, but it has aborted the connection
	return unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
}
