package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// What fuse-overlayfs gets wrong, or got wrong once.

func TestWhatOtherOverlaysGetWrong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 255)
	repo := helloRepo(t)
	repo.Write(t, "long/"+long, "long\n", 0o644)
	repo.Write(t, strings.Repeat(long[:250]+"/", 14)+"leaf", "deep\n", 0o644)
	repo.Commit(t, "long names")
	eachAsOnPlain(t, repo, map[string]string{
		"a covered file stays away": `
			echo new > made; mv made README.md; mv README.md away; ! test -e README.md; ls; cat away
			mv foo.txt foo1; mv foo1 foo.txt; mv foo.txt foo1; ! test -e foo.txt
			mkdir d; rmdir odd 2>/dev/null || rm -r odd; mv d odd; mv odd d2; ! test -e odd; mv link link2; mv link2 link; rm link; ln -s x link; rm link; ls`,
		"a directory made again is empty": `
			for i in 1 2 3; do rm -r dir/b; mkdir dir/b; ls -A dir/b; echo x > dir/b/new$i; done; ls dir/b
			rm -r dir; mkdir dir; ls -A dir; mkdir dir/a; ls -A dir/a; rmdir dir/a dir; mkdir -p dir/a/b/c; ls -R dir; mkdir dir/a 2>/dev/null || echo exists`,
		"copy-up keeps times": `
			echo more >> dir/a/b/c/deep.txt; touch -d @1000000000.5 dir/b/same; stat -c '%n %y' dir/a/b dir/a/b/c dir/b
			chown -h 12 link; ln dir/a/up dir/a/up2; chmod 700 bin; stat -c '%n %y' link dir/a/up bin; truncate -s 100 large.bin; touch -a binary; stat -c '%n %y' binary
			setfattr -n user.k -v v no-newline; chmod 600 empty; chown 5:6 foo-bar; ln foo0 foo1; stat -c '%n %y' no-newline empty foo-bar foo0 foo1`,
		"names of 255 bytes": fmt.Sprintf(`
			n=%s; cat long/$n; echo more >> long/$n; mv long/$n long/${n%%n}m; mv long/${n%%n}m long/$n; ln long/$n long/${n%%n}l; mkdir $n; echo x > $n/$n; ls long $n
			rm long/$n; ! test -e long/$n; ln -s $n long/${n%%n}s; setfattr -n user.k -v v $n/$n; (touch ${n}n 2>&1 || true) | grep -o 'File name too long'
			(mv $n ${n}n 2>&1 || true) | grep -o 'File name too long'; (mkdir long/${n}n 2>&1 || true) | grep -o 'File name too long'; mv long $n/${n%%n}d`, long),
		"paths as long as they may be": fmt.Sprintf(`
			n=%s; p=$n/$n/$n/$n/$n/$n/$n; cd $p; cd $p; cat leaf; echo more >> leaf; mkdir new; mv leaf new/leaf2; touch $(printf %%0240d 1); cd ../../..; mv $n moved; find . | wc -l`, long[:250]),
		"set-group-id directories": `
			umask 022; chgrp 77 dir/a; chmod 2775 dir/a; mkdir dir/a/new dir/a/b/plain; touch dir/a/f; ln -s x dir/a/l; mkdir -p dir/a/x/y/z; mkfifo dir/a/p
			stat -c '%n %a %g' dir/a dir/a/new dir/a/f dir/a/b/plain dir/a/x dir/a/x/y/z dir/a/p; stat -c '%g' dir/a/l
			chgrp 78 dir/a/b/c; chmod g+s dir/a/b/c; echo x > dir/a/b/c/born; mv dir/a/b/c dir/a/b/moved; mkdir dir/a/b/moved/sub; stat -c '%a %g' dir/a/b/moved/*`,
		"attributes of symbolic links": `
			setfattr -h -n trusted.k -v v link; getfattr -h -n trusted.k link; ln -s nowhere born; setfattr -h -n trusted.k -v w born; getfattr -h -n trusted.k born
			setfattr -h -n user.k -v v link 2>/dev/null || echo refused; setfattr -h -x trusted.k link; getfattr -h -d -m - link born; readlink link born`,
		"renames of merged directories": `
			echo new > dir/new; mv dir apt; mkdir dir; echo other > dir/other; mv dir apt/dir; mv apt/a up; mv up/b apt/b2; rm -r apt/b; mv apt/b2 apt/b; ls -R apt up
			cp -a third-party node_modules; mv node_modules/buck-hello .staging; mv third-party/buck-hello node_modules/buck-hello; mv .staging third-party/buck-hello; rm -r node_modules
			mkdir empty-dir; mv -T up empty-dir; mv -T bin/ empty-dir/bin; rm empty-dir/bin/tool; ls empty-dir empty-dir/bin; mv -T empty-dir up; rm -r up; ! test -e up`,
		"hard links": `
			ln README.md one; ln one dir/two; echo more >> dir/two; stat -c '%n %h' README.md one dir/two; cmp README.md one; cp -al dir copied; ln large.bin big; mv README.md dir/a/three
			stat -c %h copied/a/same dir/a/same; echo changed > copied/a/same; cat dir/a/same; rm one; stat -c %h dir/two; ln -f foo.txt foo0; cat foo0; ln link link2; stat -c %h link link2; ln one x 2>/dev/null || echo gone`,
		"remove and make again": `
			for i in 1 2 3; do rm README.md; echo $i > README.md; rm -r dir/a; mkdir dir/a; echo $i > dir/a/same; rm link; ln -s $i link; done; rm README.md; mkdir README.md; rmdir README.md; rm link; ls -A`,
	})
}

// TestWhatRandomOperationsLeftCanBeRemoved: rm -rf must find all and leave nothing.
func TestWhatRandomOperationsLeftCanBeRemoved(t *testing.T) {
	t.Parallel()
	for seed := uint64(11); seed < 14; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			repo, lab := importRepo(t, initialTree(seed, "top/tree")), suite.New(t)
			m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
			lab.Role(m.Path("top/tree"), "improvise", fmt.Sprint(seed), "0", "1500", lab.Path("script"))
			lab.Shell(m.Point, "rm -rf top && ! test -e top && test -z \"$(ls -A)\" && mkdir top && test -z \"$(ls -A top)\" && rmdir top")
			m.Unmount()
			again := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: m.Upper})
			wantEmpty(t, again.Point)
			if left, _ := os.ReadDir(m.Upper); len(left) != 1 {
				t.Errorf("upper has %v, want one whiteout", left)
			}
		})
	}
}

// TestHolesAreWhereTheyAre: fuse-overlayfs answered ENXIO. Upper is on the file system that the plain directory is on.
func TestHolesAreWhereTheyAre(t *testing.T) {
	t.Parallel()
	repo, lab := helloRepo(t), suite.New(t)
	plain := lab.Checkout(repo.Dir, "HEAD")
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	for _, file := range []string{"large.bin", "README.md", "empty", "born"} {
		for step, change := range []string{"true", "truncate -s +1M " + file, "printf x | dd of=" + file + " bs=1 seek=2M conv=notrunc status=none", "fallocate -p -o 1M -l 2M " + file} {
			if file == "born" && step == 0 {
				change = "touch born"
			}
			lab.Shell(plain, change)
			lab.Shell(m.Point, change)
			got, want := extents(t, m.Path(file)), extents(t, plain+"/"+file)
			if got != want {
				t.Errorf("%s after %q: %s, in a plain directory %s", file, change, got, want)
			}
		}
	}
}

// extents lists where data and holes begin.
func extents(t *testing.T, path string) string {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	said := ""
	for off := int64(0); ; {
		data, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if err != nil {
			return said + errname(err)
		}
		hole, err := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err != nil {
			return said + errname(err)
		}
		said += fmt.Sprintf("%d-%d ", data, hole)
		off = hole
	}
}
