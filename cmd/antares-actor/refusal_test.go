package main_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// refusal is how the program must turn down what it cannot do.
type refusal struct {
	code int
	says []string // what is wrong, the input, the remedy
}

// ways are the three commands that mount.
var ways = map[string]func(point string, flags []string) []string{
	"mount": func(point string, flags []string) []string { return append(append([]string{"mount"}, flags...), point) },
	"mount detach": func(point string, flags []string) []string {
		return append(append([]string{"mount", "--detach"}, flags...), point)
	},
	"mount detach log": func(point string, flags []string) []string {
		return append(append([]string{"mount", "--detach", "--log-file", "/dev/null"}, flags...), point)
	},
	"run": func(point string, flags []string) []string {
		return append(append([]string{"run", "--mountpoint", point}, flags...), "--", "touch", "must-not-run")
	},
}

// wantRefusal runs the program and checks that it says in one line what is wrong, with the right status, and leaves nothing:
// no mount, no process, no file or directory.
func wantRefusal(t *testing.T, lab *testfs.Lab, want refusal, args ...string) {
	t.Helper()
	before := traces(t, lab)
	r := lab.Actor(args...)
	if r.Code != want.code {
		t.Errorf("%.40q: exit status %d, want %d", args, r.Code, want.code)
	}
	var said []string
	for line := range strings.Lines(r.Stderr) {
		if !strings.HasPrefix(line, "time=") || !strings.Contains(line, "level=INFO") {
			said = append(said, line)
		}
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "antares-actor: ") {
		t.Errorf("%q: want one line that begins with the program's name, got %q", args, r.Stderr)
	}
	for _, part := range want.says {
		if !strings.Contains(strings.Join(said, ""), part) {
			t.Errorf("%q: %q is missing in %q", args, part, said)
		}
	}
	if r.Stdout != "" {
		t.Errorf("%q: standard output has %q", args, r.Stdout)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // helpers end a moment after
		after := traces(t, lab)
		before = slices.DeleteFunc(before, func(trace string) bool { // of mounts before
			return strings.HasPrefix(trace, "process ") && !slices.Contains(after, trace)
		})
		if slices.Equal(before, after) {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%q left something, or took it:\nbefore %q\nafter  %q", args, before, after)
			return
		}
	}
}

// traces are the files of a lab outside the program's own state directory, its mounts, its records and its processes.
func traces(t *testing.T, lab *testfs.Lab) []string {
	t.Helper()
	var found []string
	mounts, err := testfs.Mounts(lab.Dir)
	if err != nil {
		t.Fatal(err)
	}
	own := []string{lab.Path("home", ".cache"), lab.Path("home", ".local")}
	err = filepath.WalkDir(lab.Dir, func(path string, d fs.DirEntry, err error) error {
		if slices.Contains(own, path) {
			return fs.SkipDir
		}
		found = append(found, "file "+path)
		if slices.Contains(mounts, path) && d.IsDir() {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	kept, _ := filepath.Glob(lab.Path("home", ".local", "state", "antares-actor", "*", "*")) // mountpoints and uppers by default
	found = append(append(append(found, mounts...), kept...), records(lab.Dir)...)
	for _, p := range testfs.Processes(lab.Dir) {
		found = append(found, "process "+p)
	}
	slices.Sort(found)
	return found
}
