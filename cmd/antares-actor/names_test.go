package main_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func TestNamesAreBytes(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for _, name := range []string{".wh.README.md", ".wh..wh..opq", ".wh..opq", "caf\xe9", "\xff\xfe", "new\nline", "tab\there", "-rf", " ", "~", "\\", "\"quoted\"", "*", "a:b", "…"} {
		repo.Write(t, "odd names/"+name, name, 0o644)
	}
	repo.Commit(t, "odd names")
	eachAsOnPlain(t, repo, map[string]string{
		"whiteout names of other file systems": `
			cd 'odd names'; ls -A; echo more >> .wh.README.md; rm .wh..wh..opq; echo x > .wh.new; mkdir .wh.dir .wh..wh.plnk; echo x > new; rm new; ls -A; cd ..
			echo x > dir/.wh.a; echo x > dir/.wh..wh..opq; ls -AR dir; rm dir/a/same; ! test -e dir/a/.wh.same; mv dir/.wh.a .wh.README.md; test -e README.md; mkdir d; touch d/.wh..wh..opq; ls -A d`,
		"bytes": `
			cd 'odd names'; for f in *; do cat "./$f"; echo more >> "./$f"; mv "./$f" "./$f~"; done; ls -A | od -c; mkdir $'d\x80' && echo x > $'d\x80/\xc3\x28' && ls $'d\x80' | od -c
			ln -s $'\xff\x01' $'l\xfe'; readlink $'l\xfe' | od -c; rm ./-rf~ './ ~'; touch -- -n $'\x01\x1f\x7f'; mkfifo '*'; ls -A | od -c`,
		"loops of symbolic links": `
			ln -s loop loop; ln -s b a; ln -s a b; ln -s ../dir dir/self; (cat loop 2>&1 || true) | grep -o 'Too many levels.*'; (cat a/x 2>&1 || true) | grep -o 'Too many levels.*'
			ls dir/self/self/self/a; p=dir; for i in $(seq 45); do p=$p/self; done; (ls $p 2>&1 || true) | grep -o 'Too many levels.*'; (echo x > loop) 2>/dev/null || echo refused
			ln -s README.md s0; for i in $(seq 39); do ln -s s$((i-1)) s$i; done; cat s38; (cat s39 s40 2>&1 || true) | grep -c 'Too many' || true; mv loop moved; readlink moved; rm a; (cat b 2>&1 || true) | grep -o 'No such.*'`,
		"devices and pipes and sockets": `
			mknod null c 1 3; mknod b b 7 99; mkfifo dir/pipe; (echo through > dir/pipe) & cat dir/pipe; wait; stat -c '%n %F %t:%T %a' null b dir/pipe
			ln null null2; mv dir/pipe dir/a/pipe; chmod 600 null; chown 3:4 b; touch -d @1000000000 null b; rm README.md; mknod README.md c 5 1; rm foo.txt; mkfifo foo.txt; stat -c '%F' README.md foo.txt
			perl -MIO::Socket::UNIX -e '
				$s = IO::Socket::UNIX->new(Local => "sock", Listen => 1) or die; if (!fork) { $c = IO::Socket::UNIX->new(Peer => "sock") or die; print $c "hello\n"; exit }
				$d = $s->accept; print scalar <$d>; wait'
			stat -c '%F' sock; mv sock dir/sock; ln dir/sock dir/sock2; rm dir/sock; stat -c '%F %h' dir/sock2; cp -a null null3; rm b`,
		"strange paths": `
			cat dir//a///same ./dir/../README.md dir/a/../../foo.txt; (cat README.md/ 2>&1 || true) | grep -o 'Not a dir.*'; (mkdir README.md/x 2>&1 || true) | grep -o 'Not a dir.*'
			(rmdir dir/. 2>&1 || true) | grep -o 'Invalid.*'; (mv dir dir/a/sub 2>&1 || true) | grep -o 'subdirectory'; (rm -r . 2>&1 || true) | grep -o refusing; mkdir new/ && rmdir new/; (touch missing/ 2>&1 || true) | grep -o 'No such.*\|Is a.*'; (ln dir x 2>&1 || true) | grep -o 'not allowed'`,
	})
}

func TestPathsOfTheLargestLength(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	deep := strings.Repeat(strings.Repeat("d", 100)+"/", 35)
	repo.Write(t, deep+"leaf", "leaf\n", 0o644)
	repo.Commit(t, "deep")
	asOnPlain(t, suite.New(t), repo, `
		p=`+strings.TrimSuffix(deep, "/")+`; cat $p/leaf; echo more >> $p/leaf
		n=$(printf %0250d 0); mkdir $p/$n; (mkdir $p/$n/$n 2>&1; true) | cut -c1-6; q=$p; while [ ${#q} -lt 4095 ]; do q=./$q; done; q=${q: -4095}; q=.${q#?}
		while [ ${#q} -gt 4095 ]; do q=${q#?}; done; (ls $q/$n/$n 2>&1 || true) | grep -o 'too long'; mv ${p%%/*} top; find top | wc -l; rm -r top/*; ls -A top`)
}

// TestALinkThatIsTooLongIsRefused: git can record a symbolic link with a target that Linux cannot have.
func TestALinkThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	for name, length := range map[string]int{"longest": 4095, "longer": 4096, "much-longer": 70_000} {
		repo.Write(t, "target", strings.Repeat("t", length), 0o644)
		repo.Git(t, "update-index", "--add", "--cacheinfo", "120000,"+strings.TrimSpace(repo.Git(t, "hash-object", "-w", "target"))+","+name)
		repo.Git(t, "commit", "-q", "-m", name)
	}
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		if target, err := os.Readlink(m.Path("longest")); err != nil || len(target) != 4095 {
			t.Errorf("%d bytes, %v", len(target), err)
		}
		for _, name := range []string{"longer", "much-longer"} {
			if target, err := os.Readlink(m.Path(name)); !errors.Is(err, unix.ENAMETOOLONG) {
				t.Errorf("%s: %d bytes, %v", name, len(target), err)
			}
		}
		lab.Shell(m.Point, "test $(stat -c %s longer) = 4096; rm longer much-longer")
	})
}
