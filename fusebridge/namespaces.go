package fusebridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Elsewhere returns a process of each other mount name space that has a mount of this device ("major:minor"), as far as we may
// look: a container that was started while it was mounted has a copy, which umount here does not take away.
func Elsewhere(device string) []Holder {
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	seen := map[string]bool{ours: true, "": true}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	var holders []Holder
	for _, proc := range procs {
		space, _ := os.Readlink(filepath.Join(proc, "ns/mnt"))
		if seen[space] {
			continue
		}
		seen[space] = true
		table, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(table), "\n") {
			if fields := strings.Fields(line); len(fields) > 4 && fields[2] == device {
				comm, _ := os.ReadFile(filepath.Join(proc, "comm"))
				pid, _ := strconv.Atoi(filepath.Base(proc))
				holders = append(holders, Holder{
					PID: pid, Command: strings.TrimSpace(string(comm)), How: fmt.Sprintf("mounted on %s in its mount name space", unescape(fields[4])),
				})
				break
			}
		}
	}
	return holders
}

// LeaveAll takes our mounts, but for those on the given mountpoints, out of the caller's mount name space, which must be a new and
// private one: its copies would keep the servers alive after the unmount.
func LeaveAll(but ...string) error {
	ours, err := Ours()
	for _, m := range ours {
		if slices.Contains(but, m.Mountpoint) {
			continue
		}
		err = errors.Join(err, unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW))
	}
	return err
}
