package testfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Suite is what the tests of one binary share.
type Suite struct {
	Program string // the antares-actor that was built for them
	Dir     string // everything that they make is below it
}

// childEnv names the role that a test binary plays when a test starts it again as a process of its own.
const childEnv = "ANTARES_TEST_ROLE"

// Main is what a TestMain calls: it builds the program from the package directory pkg, runs the tests and then looks for
// mounts and processes that they left. roles are what the test binary can be when it is started by Lab.Role.
func Main(m *testing.M, pkg string, set func(*Suite), roles map[string]func(args []string) error) int {
	if name := os.Getenv(childEnv); name != "" {
		return play(roles[name])
	}
	s, err := newSuite(pkg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testfs:", err)
		return 1
	}
	set(s)
	code := m.Run()
	if err := s.leaks(); err != nil {
		fmt.Fprintln(os.Stderr, "testfs: tests left something behind:", err)
		code = max(code, 1)
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		fmt.Fprintln(os.Stderr, "testfs:", err)
		code = max(code, 1)
	}
	return code
}

func play(role func(args []string) error) int {
	if role == nil {
		fmt.Fprintln(os.Stderr, "testfs: no such role")
		return 2
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// newSuite makes the directory and builds the program. TMPDIR leads there from now on, so that t.TempDir does, and every
// mount and process of a test can be told by its path from those of others.
func newSuite(pkg string) (*Suite, error) {
	dir, err := os.MkdirTemp("", "antares-test-")
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // as mountinfo will have it
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // tests act as other users, too
		return nil, err
	}
	s := &Suite{Program: filepath.Join(dir, "antares-actor"), Dir: dir}
	args := []string{"build", "-o", s.Program}
	if RaceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build %s: %w: %s", pkg, err, out), os.RemoveAll(dir))
	}
	return s, os.Setenv("TMPDIR", dir)
}
