package fusebridge

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holder is a process that keeps a mount busy.
type Holder struct {
	PID     int
	Command string
	How     string // "working directory", "root", "program", "open file /mnt/x", "mapped file /mnt/x"
}

// Holders returns the processes that use something below path, as far as we may look. It reads links in /proc only, which
// does not touch the mount.
func Holders(path string) []Holder {
	path, err := resolve(path)
	if err != nil {
		return nil
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var holders []Holder
	for _, proc := range procs {
		if how := holds(proc, path); how != "" {
			comm, _ := os.ReadFile(filepath.Join(proc, "comm"))
			pid, _ := strconv.Atoi(filepath.Base(proc))
			holders = append(holders, Holder{PID: pid, Command: strings.TrimSpace(string(comm)), How: how})
		}
	}
	return holders
}

// holds tells how a process uses path, "" if it does not.
func holds(proc, path string) string {
	below := func(p string) bool { return p == path || strings.HasPrefix(p, path+"/") }
	for _, link := range []struct{ name, how string }{{"cwd", "working directory"}, {"root", "root"}, {"exe", "program"}} {
		if target, err := os.Readlink(filepath.Join(proc, link.name)); err == nil && below(target) {
			return link.how
		}
	}
	fds, _ := filepath.Glob(filepath.Join(proc, "fd", "*"))
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && below(target) {
			return "open file " + target
		}
	}
	maps, err := os.Open(filepath.Join(proc, "maps"))
	if err != nil {
		return ""
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if i := strings.IndexByte(lines.Text(), '/'); i >= 0 && below(lines.Text()[i:]) {
			return "mapped file " + lines.Text()[i:]
		}
	}
	return ""
}

// Describe tells a user who is in the way.
func Describe(holders []Holder) string {
	if len(holders) == 0 {
		return "in use, by a process that cannot be seen from here or by a mount below it"
	}
	var parts []string
	for _, h := range holders {
		parts = append(parts, fmt.Sprintf("%s (pid %d, %s)", h.Command, h.PID, h.How))
	}
	return "held by " + strings.Join(parts, ", ")
}
