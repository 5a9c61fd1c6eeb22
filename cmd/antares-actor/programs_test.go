package main_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// Real programs in a mount.

func TestGitWorksOnAMountedTree(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	repo.Git(t, "rm", "-q", "--cached", "sub") // a submodule that git would look into
	repo.Commit(t, "without the submodule")
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		git := "git --git-dir='" + lab.Path("clone") + "' --work-tree=. "
		lab.Shell("", "git clone -q --bare '"+repo.Dir+"' clone && git -C clone config core.bare false")
		if out := lab.Shell(m.Point, git+"reset -q && "+git+"status --porcelain"); out != "" {
			t.Errorf("a fresh mount is not clean: %s", out)
		}
		lab.Shell(m.Point, "echo more >> README.md; rm foo.txt; echo x > new; chmod 755 binary; rm -r dir/b")
		want := " M README.md\n M binary\n D dir/b/same\n D foo.txt\n?? new\n"
		if out := lab.Shell(m.Point, git+"status --porcelain"); out != want {
			t.Errorf("status says %q, want %q", out, want)
		}
		lab.Shell(m.Point, git+"add -A && "+git+"commit -q -m changes && "+git+"diff --exit-code HEAD")
		lab.Shell(m.Point, git+"checkout -q HEAD~1 && test -e foo.txt -a ! -e new && "+git+"diff --exit-code HEAD")
	})
}

func TestGitRepositoriesLiveInAMount(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Path(project), `
			git init -q . && git add . && git commit -q -m one && test -z "$(git status --porcelain)"
			echo // more >> main.go && git commit -q -a -m two && git checkout -q -b side HEAD~1 && echo s > side && git add side && git commit -q -m s
			git merge -q -m merged master 2>/dev/null || git merge -q -m merged main
			git gc -q --prune=now && git fsck --strict && test "$(git log --oneline | wc -l)" = 4 && git stash list`)
	})
}

func TestCopiesAndArchivesAreFaithful(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		look := testfs.Look{Before: old, Skip: []string{"."}}
		lab.Shell(m.Point, "ln README.md dir/second; touch -d @1000000000.5 no-newline; mkfifo pipe; mkdir -m 2770 shared; chmod 4755 binary")
		if err := unix.Setxattr(m.Path("bin/tool"), "user.k", []byte("v"), 0); err != nil {
			t.Fatal(err)
		}
		want := testfs.Take(t, m.Point, look)
		lab.Shell("", "cp -a '"+m.Point+"' out && mkdir out2 && tar --xattrs -C '"+m.Point+"' -cf - . | tar --xattrs -C out2 -xpf -")
		testfs.Same(t, "cp -a out", testfs.Take(t, lab.Path("out"), look), "mount", want)
		testfs.Same(t, "tar out", testfs.Take(t, lab.Path("out2"), look), "mount", want)
		lab.Shell(m.Point, "mkdir in in2 && cp -a '"+lab.Path("out")+"/.' in && tar --xattrs -C '"+lab.Path("out")+"' -cf - . | tar --xattrs -C in2 -xpf -")
		testfs.Same(t, "cp -a in", testfs.Take(t, m.Path("in"), look), "mount", want)
		testfs.Same(t, "tar in", testfs.Take(t, m.Path("in2"), look), "mount", want)
		lab.Shell(m.Point, "rm in/pipe in2/pipe && diff -r in in2 && cp -a dir dir-copy && diff -r dir dir-copy")
	})
}

func TestRemovedTreesStayRemovedWhenTheyAreMadeAgain(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, "rm -rf third-party odd && ! test -e third-party && mkdir -p "+project+" odd && echo new > "+project+"/BUCK")
		check := func(m *testfs.Mount) {
			t.Helper()
			wantEmpty(t, m.Path("odd"))
			wantContent(t, m.Path(project, "BUCK"), "new\n")
			if out := lab.Shell(m.Point, "find third-party odd | sort"); out != "odd\nthird-party\n"+project+"\n"+project+"/BUCK\n" {
				t.Errorf("find says %q", out)
			}
		}
		check(m)
		m.Unmount()
		m = lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper})
		check(m)
		lab.Shell(m.Point, "rm -rf * && test -z \"$(ls -A)\" && mkdir dir && rmdir dir && echo x > README.md")
		m.Unmount()
		m = lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper})
		if out := lab.Shell(m.Point, "find . | sort"); out != ".\n./README.md\n" {
			t.Errorf("find says %q", out)
		}
		if entries, _ := os.ReadDir(m.InUpper("dir")); len(entries) > 0 {
			t.Errorf("upper has leftovers in a removed directory: %v", entries)
		}
	})
}

func TestRenamesDoWhatOverlayfsDoes(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		lab.Shell(m.Point, `
			mv README.md dir/a/README && test ! -e README.md && grep -q corpus dir/a/README
			mkdir made && echo x > made/x && mv made dir/made && test "$(cat dir/made/x)" = x && mv dir/made made2
			mkdir empty && mv -T made2 empty && test "$(cat empty/x)" = x && test ! -e made2
			mv dir/a/same foo.txt && test "$(cat foo.txt)" = same && test ! -e dir/a/same`)
		if err := os.Rename(m.Path("dir"), m.Path("moved")); err != nil {
			t.Errorf("rename of a directory of the origin: %v", err)
		}
		if entries, _ := os.ReadDir(m.InUpper("moved")); len(entries) > 2 { // what was made in it before
			t.Errorf("the rename copied: %v", entries)
		}
		lab.Shell(m.Point, "test ! -e dir && mv moved dir")
		lab.Shell(m.Point, "mv dir moved && test ! -e dir -a -e moved/a/README -a -e moved/a/b/c/deep.txt && mv moved dir && mv dir again")
		look := testfs.Look{Before: old}
		want := testfs.Take(t, m.Point, look)
		m.Unmount()
		lab.KernelOverlay(lab.Checkout(repo.Dir, "HEAD"), m.Upper, func(point string) {
			testfs.Same(t, "overlayfs", testfs.Take(t, point, look), "mount", want)
		})
	})
}
