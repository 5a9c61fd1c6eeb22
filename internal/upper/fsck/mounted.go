package fsck

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// notMounted looks whether kernel overlayfs, which takes no lock, has the directory for its upper. It sees this process's
// mount name space only.
func notMounted(fd int, path string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil // no proc file system: nothing to be seen
	}
	defer f.Close()
	var want unix.Stat_t
	if err := unix.Fstat(fd, &want); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	for point, dir := range overlays(f) {
		var st unix.Stat_t
		if unix.Stat(dir, &st) == nil && st.Dev == want.Dev && st.Ino == want.Ino {
			return fmt.Errorf("%w: %s is the upper of the overlay on %s: unmount that first", upper.ErrInUse, path, point)
		}
	}
	return nil
}

// overlays returns the uppers of the kernel overlay file systems in a mountinfo file, by mountpoint.
func overlays(r io.Reader) map[string]string {
	found := make(map[string]string)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		place, fs := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(fs) < 3 || fs[0] != "overlay" {
			continue
		}
		for _, option := range strings.Split(fs[len(fs)-1], ",") {
			if dir, ok := strings.CutPrefix(option, "upperdir="); ok {
				found[unescape(place[4])] = unescape(dir)
			}
		}
	}
	return found
}

// unescape undoes what the mount table does to white space and backslashes: \ooo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && isOctal(s[i+1:i+4]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isOctal(s string) bool { return strings.Trim(s, "01234567") == "" && s[0] < '4' }
