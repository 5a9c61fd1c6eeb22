package testfs

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Lab is one test's place: directories, and the program's mounts and servers in it.
type Lab struct {
	t     testing.TB
	suite *Suite
	Dir   string // the program's home, and the place for everything else

	mu     sync.Mutex // held to read and change what follows
	mounts []*Mount
	serial int
}

// New returns a lab for a test, in a new directory.
func (s *Suite) New(t testing.TB) *Lab {
	t.Helper()
	l := &Lab{t: t, suite: s, Dir: t.TempDir()}
	if err := os.Chmod(filepath.Dir(l.Dir), 0o755); err != nil { // tests act as other users, too
		t.Fatal(err)
	}
	for _, dir := range []string{"home", "run"} {
		l.Mkdir(dir)
	}
	return l
}

// Path returns a path in the lab.
func (l *Lab) Path(elem ...string) string { return filepath.Join(append([]string{l.Dir}, elem...)...) }

// Mkdir makes a directory of the lab, with those above it, and returns its path.
func (l *Lab) Mkdir(elem ...string) string {
	l.t.Helper()
	path := l.Path(elem...)
	if err := os.MkdirAll(path, 0o755); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// Program is the path of the antares-actor under test.
func (l *Lab) Program() string { return l.suite.Program }

// Env is the environment of all that the lab starts: a home of its own, and no configuration of this machine's but what
// the Go toolchain needs to find its caches.
func (l *Lab) Env() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.Path("home"), "TMPDIR=" + l.suite.Dir, "LC_ALL=C", "TZ=UTC",
		"XDG_RUNTIME_DIR=" + l.Path("run"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.org",
		"GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "GOWORK=off", "GOPROXY=off",
	}
	for _, name := range []string{"GOMAXPROCS", "GOROOT", "GORACE"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, "GOCACHE="+goCache(), "GOPATH="+l.Path("home", "go"))
}

// goCache is the user's build cache: compiling the standard library again in each test would be most of its time.
func goCache() string {
	if dir := os.Getenv("GOCACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "go-build")
	}
	return filepath.Join(dir, "go-build")
}

// patience is how long something may take until it must be hanging: there is no other end to it than that of the test binary,
// how slow the machine may be, but it comes early enough to find out where it hangs.
func (l *Lab) patience(early time.Duration) time.Duration {
	t, ok := l.t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return noDeadline
	}
	end, ok := t.Deadline()
	if !ok {
		return noDeadline
	}
	left := time.Until(end)
	return left - min(early, left/4)
}

const noDeadline = 10 * time.Minute

// number returns 0, 1, 2, ...
func (l *Lab) number() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	return l.serial - 1
}

// abort ends everything that waits for a mount of this lab, after its servers have said what they were doing.
func (l *Lab) abort(why string) {
	l.mu.Lock()
	mounts := l.mounts
	l.mu.Unlock()
	for _, m := range mounts {
		m.abort(why)
	}
}
