package main_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

const project = "third-party/buck-hello"

func TestReadFilesStayOutOfUpper(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		wantContent(t, m.Path(project, "BUCK"), "rust_binary(name = \"main\")\n")
		shown := testfs.Take(t, m.Point, testfs.Look{Before: 1 << 40})
		wanted := testfs.Take(t, lab.Checkout(repo.Dir, "HEAD"), testfs.Look{Before: 1 << 40})
		shown["."] = wanted["."] // the root is upper's
		testfs.Same(t, "mount", shown, "checkout", wanted)
		wantEmpty(t, m.Upper)
		m.Unmount()
		wantEmpty(t, m.Upper)
	})
}

func TestChangedFilesAreCopiedUpAndTheOriginalStays(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, "echo new > "+project+"/main.rs")
		wantContent(t, m.Path(project, "main.rs"), "new\n")
		wantContent(t, m.InUpper(project, "main.rs"), "new\n")
		wantAbsent(t, m.InUpper(project, "BUCK"))
		m.Unmount()
		wantContent(t, m.InUpper(project, "main.rs"), "new\n")
		again := lab.Mount(testfs.Spec{Origin: origin})
		wantContent(t, again.Path(project, "main.rs"), "fn main() {}\n")
		if got := repo.Git(t, "status", "--porcelain", "--", project); got != "" {
			t.Errorf("the repository changed: %s", got)
		}
	})
}

func TestNewFilesAreInUpperOnly(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, "echo x > "+project+"/new_file.txt")
		wantContent(t, m.Path(project, "new_file.txt"), "x\n")
		wantContent(t, m.InUpper(project, "new_file.txt"), "x\n")
		m.Unmount()
		again := lab.Mount(testfs.Spec{Origin: origin})
		wantAbsent(t, again.Path(project, "new_file.txt"))
	})
}

func TestBuildsPutTheirOutputIntoUpper(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		lab.Need("make", "make")
		lab.Need("cc", "gcc")
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Path(project), "go build -o bin/hello . && make -s -C c && make -q -C c")
		for _, binary := range []string{"bin/hello", "c/hello"} {
			if out := lab.Shell(m.Path(project), binary); out != "hello from the mount\n" {
				t.Errorf("%s says %q", binary, out)
			}
		}
		m.Unmount()
		for _, file := range []string{"bin/hello", "c/hello", "c/hello.o"} {
			if info, err := os.Stat(m.InUpper(project, file)); err != nil || info.Size() == 0 {
				t.Errorf("%s in upper: %v, %v", file, info, err)
			}
		}
		wantAbsent(t, m.InUpper(project, "main.go"))
	})
}

func TestSmallestOperations(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		out := lab.Shell(m.Point, `
			touch test.txt && test -f test.txt -a ! -s test.txt && stat -c '%a %U' test.txt
			mkdir test_dir && test -d test_dir && stat -c %a test_dir
			echo content > test.txt && cat test.txt
			echo more >> README.md && cat README.md
			echo 'exit 7' >> bin/run.sh && stat -c %a bin/run.sh
			(cd bin && ./run.sh) || echo status $?
			touch -d @1000000000 foo.txt && stat -c %Y foo.txt && cat foo.txt`)
		want := "644 root\n755\ncontent\n# corpus\nmore\n755\nrun\nstatus 7\n1000000000\n2\n"
		if out != want {
			t.Errorf("got %q, want %q", out, want)
		}
		m.Unmount()
		wantContent(t, m.InUpper("README.md"), "# corpus\nmore\n")
		wantContent(t, m.InUpper("foo.txt"), "2\n")
		if left, _ := os.ReadDir(m.Upper); len(left) != 5 {
			t.Errorf("upper has %v, want the five names that were changed", left)
		}
	})
}

// TestUpperIsWhatKernelOverlayfsShows is the law of the upper's format: after each kind of change, the kernel's own overlay
// file system over the same two directories shows what the mount showed.
func TestUpperIsWhatKernelOverlayfsShows(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, `
			echo changed > README.md; echo more >> dir/a/same; : > large.bin; rm foo.txt; rm -r dir/b
			mkdir dir/b; echo in the new one > dir/b/new; rm -r odd; echo now a file > odd
			rm foo-bar; mkdir foo-bar; echo x > foo-bar/x; mv foo0 foo1; mv foo1 dir/a/moved; ln dir/a/moved linked; ln -s nowhere dangling
			chmod 600 binary; chown 12:34 no-newline; touch -d @1000000000.123456789 empty
			mkdir -p up/per; echo 1 > up/per/f; mv up/per up/per2; mv up dir/up; mkfifo pipe; rm dir/a/up; ln -s elsewhere dir/a/up; rmdir sub`)
		if err := unix.Setxattr(m.Path("bin/tool"), "user.k", []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
		look := testfs.Look{Before: old}
		shown := testfs.Take(t, m.Point, look)
		m.Unmount()
		lab.KernelOverlay(lab.Checkout(repo.Dir, "HEAD"), m.Upper, func(point string) {
			testfs.Same(t, "mount", shown, "overlayfs", testfs.Take(t, point, look))
		})
		again := lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper})
		testfs.Same(t, "remount", testfs.Take(t, again.Point, look), "mount", shown)
		if strings.Contains(again.Log(), "level=WARN") {
			t.Errorf("the log has warnings: %s", again.Log())
		}
	})
}
