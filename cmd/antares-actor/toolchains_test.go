package main_test

import (
	"fmt"
	"testing"
)

// Programs that unpack, copy, commit and build whole trees. Each leaves in a mount what it leaves in a plain directory.

// fixed has git make the same commits and packs each time.
var fixed = []string{
	"GIT_AUTHOR_DATE=@1600000000 +0000", "GIT_COMMITTER_DATE=@1600000000 +0000", "GIT_CONFIG_COUNT=4",
	"GIT_CONFIG_KEY_0=pack.threads", "GIT_CONFIG_VALUE_0=1", "GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
	"GIT_CONFIG_KEY_2=init.defaultBranch", "GIT_CONFIG_VALUE_2=main", "GIT_CONFIG_KEY_3=advice.detachedHead", "GIT_CONFIG_VALUE_3=false",
}

// TestProgramsLeaveWhatTheyLeaveInAPlainDirectory: those that Debian has in small packages. Others need make programs.
func TestProgramsLeaveWhatTheyLeaveInAPlainDirectory(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	repo.Write(t, "cmake/CMakeLists.txt", "cmake_minimum_required(VERSION 3.10)\nproject(hello C)\nadd_library(part STATIC part.c)\nadd_executable(hello hello.c)\ntarget_link_libraries(hello part)\nconfigure_file(version.h.in version.h)\ninclude_directories(${CMAKE_CURRENT_BINARY_DIR})\n", 0o644)
	repo.Write(t, "cmake/part.c", "int part(void) { return 42; }\n", 0o644)
	repo.Write(t, "cmake/version.h.in", "#define VERSION \"@CMAKE_PROJECT_NAME@\"\n", 0o644)
	repo.Write(t, "cmake/hello.c", "#include <stdio.h>\n#include \"version.h\"\nint part(void);\nint main(void) { printf(\"%s %d\\n\", VERSION, part()); return 0; }\n", 0o644)
	repo.Commit(t, "cmake")
	for name, p := range programs(repo.Dir) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p.works(t, suite.New(t), repo)
		})
	}
}

func programs(repo string) map[string]program {
	return map[string]program{
		"git": {
			env: fixed, needs: map[string]string{"git": "git"},
			skip: []string{"index", "FETCH_HEAD", "*.sample"},
			script: fmt.Sprintf(`
				git clone -q '%s' clone; cd clone; echo more >> README.md; git add .; git commit -q -m one; git checkout -q -b side HEAD~1; mkdir new; for i in $(seq 50); do seq $i > new/f$i; done
				git add .; git commit -q -m two; git mv new moved; git commit -q -m three; git rebase -q main; git tag -a -m t tagged; git checkout -q main; git merge -q --no-ff -m merged side
				git gc -q --aggressive --prune=now; git fsck --strict --no-progress; git repack -q -a -d -f; git worktree add -q ../tree side; echo x > ../tree/x; git stash -q; git stash list
				git clean -q -fdx; git branch -q -m main trunk; git bundle create -q ../all.bundle --all; git archive HEAD > ../head.tar; test -z "$(git status --porcelain)"`, repo),
			after: `cd clone; git fsck --strict --no-progress; git reset -q; test -z "$(git status --porcelain)"; git -C ../tree status --porcelain | grep '?? x' > /dev/null; git log --oneline > /dev/null; git bundle verify -q ../all.bundle`,
		},
		"rsync": {
			needs: map[string]string{"rsync": "rsync"},
			script: `
				mkdir from; cp -a dir README.md link large.bin from; ln from/README.md from/linked; mkfifo from/pipe; mknod from/null c 1 3; chmod 4755 from/large.bin; setfattr -n user.k -v v from/dir
				truncate -s 3M from/sparse; echo end >> from/sparse; chown -R 12:34 from/dir/a; find from -exec touch -h -d @1000000000.123456789 {} +
				rsync -aHAX from/ to/; test -z "$(rsync -aHAXin --delete from/ to/)"; echo changed > from/README.md; rm -r from/dir/b; rsync -aHAX --delete --inplace --checksum from/ to/
				rsync -aHAX --delete --link-dest=../to from/ third/; stat -c '%h' third/large.bin | grep -x 2 > /dev/null; rsync -aHAX --remove-source-files third/ fourth/; rsync -aS from/sparse dir/sparse
				touch -d @1000000000 from to third fourth README.md from/README.md from/linked third/* fourth/README.md`,
			after: `rsync -aHAX --delete from/ to/; test -z "$(rsync -aHAXinc --delete from/ to/)"; test $(stat -c %i to/README.md) = $(stat -c %i to/linked)`,
		},
		"dpkg-deb": {
			needs: map[string]string{"dpkg-deb": "dpkg"},
			script: `
				mkdir -p pkg/DEBIAN pkg/usr/bin pkg/usr/share/doc; printf 'Package: p\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\nDescription: d\n' > pkg/DEBIAN/control
				cp bin/run.sh pkg/usr/bin; ln -s run.sh pkg/usr/bin/run; ln pkg/usr/bin/run.sh pkg/usr/bin/linked; cp -r dir third-party pkg/usr/share/doc; chmod 4755 pkg/usr/bin/run.sh
				find pkg -exec touch -h -d @1000000000 {} +; SOURCE_DATE_EPOCH=1000000000 dpkg-deb -b pkg p.deb > log; dpkg-deb -x p.deb out; dpkg-deb -x p.deb .; dpkg-deb -R p.deb raw; dpkg-deb -x p.deb out; rm -r pkg`,
			after: `diff -r --no-dereference out raw -x DEBIAN; test out/usr/bin/linked -ef out/usr/bin/run.sh`,
		},
		"venv": {
			needs:  map[string]string{"python3": "python3-venv"},
			skip:   []string{"__pycache__"},
			script: `python3 -m venv --without-pip env; env/bin/python -c 'import sys; assert sys.prefix.endswith("/env")'`,
			after:  `env/bin/python -c 'import json'; python3 -m venv --clear --without-pip env; env/bin/python -c pass`,
		},
		"cmake and ninja": {
			needs: map[string]string{"cmake": "cmake", "ninja": "ninja-build", "cc": "gcc"},
			skip:  []string{".ninja_log", ".ninja_deps", "CMakeFiles"},
			script: `
				cmake -S cmake -B build -G Ninja > log; ninja -C build > log; test "$(build/hello)" = 'hello 42'; ninja -C build | grep 'no work to do' > /dev/null
				echo 'int part(void) { return 43; }' > cmake/part.c; ninja -C build > log; test "$(build/hello)" = 'hello 43'; ninja -C build | grep 'no work to do' > /dev/null
				cmake -S cmake -B cmake/inside -G Ninja > log; ninja -C cmake/inside > log; ninja -C cmake/inside -t clean > log; rm log`,
			after: `ninja -C build | grep 'no work to do' > /dev/null; touch cmake/hello.c; ninja -C build | grep hello.c.o > /dev/null; ninja -C build | grep 'no work to do' > /dev/null; cmake --build cmake/inside > /dev/null`,
		},
		"tar and cpio of a tree": {
			needs: map[string]string{"tar": "tar", "cpio": "cpio"},
			script: `
				find . -exec touch -h -d @1000000000 {} +; tar --xattrs --sort=name -cf all.tar --exclude=all.tar .; mkdir out out2; tar -C out --xattrs -xpf all.tar; (find dir third-party -depth -print0 | cpio -0 --quiet -pdm out2)
				tar -C out --overwrite -xpf all.tar; tar -C out --recursive-unlink -xpf all.tar; tar -df all.tar; rm all.tar; touch -d @1000000000 out out2`,
			after: `diff -r --no-dereference dir out/dir; diff -r --no-dereference dir out2/dir`,
		},
	}
}
