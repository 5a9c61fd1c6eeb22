package fusebridge

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/antares-actor/antares-actor/actors"
)

// MountInfo is one line of /proc/self/mountinfo.
type MountInfo struct {
	Device     string // "major:minor"
	Mountpoint string
	Type       string // "fuse.antares-actor"
	Source     string
}

// Find returns what is mounted at path, the topmost; ErrUnmounted if nothing is. It does not touch the mount.
func Find(path string) (MountInfo, error) {
	path, err := resolve(path)
	if err != nil {
		return MountInfo{}, err
	}
	all, err := mountTable()
	if err != nil {
		return MountInfo{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Mountpoint == path {
			return all[i], nil
		}
	}
	return MountInfo{}, fmt.Errorf("%w: %s", actors.ErrUnmounted, path)
}

// Ours returns this machine's mounts of our type.
func Ours() ([]MountInfo, error) {
	all, err := mountTable()
	var ours []MountInfo
	for _, m := range all {
		if m.Type == MountType {
			ours = append(ours, m)
		}
	}
	return ours, err
}

// resolve makes a path as mountinfo has it, without looking at its last element, which may be a mount of our own.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path)), nil
	}
	return path, nil
}

func mountTable() ([]MountInfo, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var all []MountInfo
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 36 35 98:0 /root /mountpoint options [optional fields] - type source super-options
		before, after, ok := strings.Cut(lines.Text(), " - ")
		head, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(head) < 5 || len(tail) < 2 {
			continue
		}
		all = append(all, MountInfo{Device: head[2], Mountpoint: unescape(head[4]), Type: tail[0], Source: unescape(tail[1])})
	}
	return all, lines.Err()
}

// unescape undoes the kernel's octal escapes of white space and backslash.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
