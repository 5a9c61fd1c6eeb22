package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// footprint is what a process has.
type footprint struct {
	rss   int            // KiB
	files map[string]int // descriptors by kind
}

// fixed are the kinds of descriptors of which a process has as many as it is built with. How many files of upper and of the
// cache are open, and how many git processes it talks to, depends on what is asked of it at the moment.
var fixed = []string{"fuse", "socket", "anonymous", "device", "other"}

// footprintOf measures a process.
func (s *stage) footprintOf(pid int) (footprint, error) {
	f := footprint{files: make(map[string]int)}
	proc := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return f, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			f.rss, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return f, err
	}
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		f.files[s.kind(target)]++
	}
	return f, nil
}

// kind tells what a descriptor leads to.
func (s *stage) kind(target string) string {
	switch {
	case target == "/dev/fuse":
		return "fuse"
	case strings.HasPrefix(target, "/dev/"):
		return "device"
	case strings.HasPrefix(target, "pipe:"), target == "anon_inode:[pidfd]": // of git processes
		return "child"
	case strings.HasPrefix(target, "socket:"):
		return "socket"
	case strings.HasPrefix(target, "anon_inode:"):
		return "anonymous"
	case strings.HasPrefix(target, s.upper), strings.HasPrefix(target, s.repo), strings.HasPrefix(target, filepath.Join(s.dir, "cache")):
		return "tree"
	}
	return "other"
}

// fixed returns how many descriptors of the fixed kinds there are.
func (f footprint) fixed() int {
	n := 0
	for _, kind := range fixed {
		n += f.files[kind]
	}
	return n
}

func (f footprint) String() string {
	text := fmt.Sprintf("%.1f MiB, descriptors:", float64(f.rss)/1024)
	kinds := make([]string, 0, len(f.files))
	for kind := range f.files {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		text += fmt.Sprintf(" %s %d", kind, f.files[kind])
	}
	return text
}

// prints are both processes' footprints.
type prints struct{ keeper, engine footprint }

// settled is after how many restarts the first footprints are taken.
const settled = 5

// measure takes the footprints of who serves now.
func (s *stage) measure(v victims) (p prints, err error) {
	if p.keeper, err = s.footprintOf(v.Keeper); err != nil {
		return p, err
	}
	p.engine, err = s.footprintOf(v.Engine)
	return p, err
}

// grown fails if descriptors have become more. Memory is for the reader: it depends on what was asked since the last restart.
func (p prints) grown(early prints) error {
	for name, pair := range map[string][2]footprint{"keeper": {early.keeper, p.keeper}, "engine": {early.engine, p.engine}} {
		if pair[1].fixed() > pair[0].fixed() {
			return fmt.Errorf("the %s has more descriptors than after %d restarts: %v, then %v", name, settled, pair[1], pair[0])
		}
	}
	return nil
}
