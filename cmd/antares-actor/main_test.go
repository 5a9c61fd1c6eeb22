package main_test

import (
	"os"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// The tests of this package see what a user sees: they build the program once and drive it by exec. A test that mounts does
// so from each origin where the origin can make a difference.

var suite *testfs.Suite

// roles are what this binary is when a test starts it as a process of its own: see Lab.Role.
var roles = map[string]func(args []string) error{}

func TestMain(m *testing.M) {
	os.Exit(testfs.Main(m, ".", func(s *testfs.Suite) { suite = s }, roles))
}

// eachOrigin runs a test on a mountable origin of each kind over one repository.
func eachOrigin(t *testing.T, repo *origintest.Repo, test func(t *testing.T, lab *testfs.Lab, origin string)) {
	t.Helper()
	t.Run("git", func(t *testing.T) {
		t.Parallel()
		test(t, suite.New(t), "git:"+repo.Dir)
	})
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		lab := suite.New(t)
		test(t, lab, lab.Mono(repo.Dir))
	})
}

// helloRepo is a repository with a small project three levels down, as in the story that this program began with.
func helloRepo(t *testing.T) *origintest.Repo {
	t.Helper()
	repo := origintest.NewRepo(t)
	repo.Write(t, "third-party/buck-hello/BUCK", "rust_binary(name = \"main\")\n", 0o644)
	repo.Write(t, "third-party/buck-hello/main.rs", "fn main() {}\n", 0o644)
	repo.Write(t, "third-party/buck-hello/go.mod", "module example.org/hello\n\ngo 1.24\n", 0o644)
	repo.Write(t, "third-party/buck-hello/main.go", "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello from the mount\") }\n", 0o644)
	repo.Write(t, "third-party/buck-hello/c/Makefile", "all: hello\nhello: hello.o\n\t$(CC) -o $@ $^\n", 0o644)
	repo.Write(t, "third-party/buck-hello/c/hello.c", "#include <stdio.h>\nint main(void) { puts(\"hello from the mount\"); return 0; }\n", 0o644)
	repo.Commit(t, "hello")
	return repo
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func wantContent(t *testing.T, path, want string) {
	t.Helper()
	if got := read(t, path); got != want {
		t.Errorf("%s has %q, want %q", path, got, want)
	}
}

func wantAbsent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s: %v, want that it does not exist", path, err)
	}
}

// wantEmpty checks that a directory, such as an upper, has nothing in it.
func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("%s has %v, want nothing", dir, entries)
	}
}
