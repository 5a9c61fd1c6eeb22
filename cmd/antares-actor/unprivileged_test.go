package main_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// A user that is not root mounts by fusermount3, and nobody else sees the mount: what is to be known of it must be asked in it,
// by a command that antares-actor run runs there.

const someUser = 1000

// usersPlace is a lab that belongs to a user: home, a repository, an upper directory and a plain one with the same files.
type usersPlace struct {
	lab                  *testfs.Lab
	origin, upper, plain string
}

func newUsersPlace(t *testing.T, repo *origintest.Repo) *usersPlace {
	t.Helper()
	lab := suite.New(t)
	u := &usersPlace{lab: lab, origin: "git:" + lab.Path("repo.git"), upper: lab.Path("upper"), plain: lab.Checkout(repo.Dir, "HEAD")}
	lab.Shell("", "git clone -q --bare '"+repo.Dir+"' repo.git")
	lab.Shell("", fmt.Sprintf("chown -R %d:%[1]d .", someUser))
	return u
}

// withDevice is a root's script in which as_user runs a command as the user. Where users may not open /dev/fuse (it is for all
// on Debian, and for root alone in many a container) they may in this mount name space.
const withDevice = `
	mkdir -p "$PLACE/dev"; mount -t tmpfs tmpfs "$PLACE/dev"; mknod -m 666 "$PLACE/dev/fuse" c 10 229; mount --bind "$PLACE/dev/fuse" /dev/fuse
	as_user() { setpriv --reuid "$SOME_USER" --regid "$SOME_USER" --clear-groups -- "$@"; }
	`

// asRoot runs a script in a mount name space of its own.
func (u *usersPlace) asRoot(script string, args ...string) string {
	env := []string{"PLACE=" + u.lab.Dir, "SOME_USER=" + strconv.Itoa(someUser), "PROGRAM=" + u.lab.Program(), "ORIGIN=" + u.origin, "UPPER=" + u.upper}
	return u.lab.Run(testfs.Command{Env: append(env, asAlone("")...)}, os.Args[0], append([]string{"bash", "-euo", "pipefail", "-c", withDevice + script, "bash"}, args...)...).OK()
}

// inMount runs a script in the user's mount.
func (u *usersPlace) inMount(script string) string {
	return u.asRoot(`as_user "$PROGRAM" run --origin "$ORIGIN" --upper "$UPPER" -- bash -euo pipefail -c "$1"`, script)
}

// inPlain runs it in the plain directory.
func (u *usersPlace) inPlain(script string) string {
	return u.lab.Run(testfs.Command{User: someUser, Dir: u.plain}, "bash", "-euo", "pipefail", "-c", script).OK()
}

// everything describes a tree: names, types, modes, owners, sizes, links, targets, contents, old times and attributes.
const everything = `
	find . -mindepth 1 \( -type d -printf '%P %M %U:%G\n' -o -printf '%P %M %U:%G %s %n %l\n' \) | sort; find . -type f -readable -print0 | sort -z | xargs -0 sha256sum
	find . -mindepth 1 ! -newermt @1750000000 -printf '%P %T@\n' | sort; find . -mindepth 1 -readable ! -type l -print0 | sort -z | xargs -0 getfattr -d -m user 2>/dev/null`

func TestUsersMountAndChangeAndMountAgain(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	u := newUsersPlace(t, repo)
	u.lab.Need("fusermount3", "fuse3")
	change := `
		umask 022; echo more >> README.md; rm foo.txt; rm -r dir/b; mkdir dir/b; echo in the new one > dir/b/new; rm -r odd; echo now a file > odd; mv dir/a moved; mv moved/b dir/a; rm -r dir/a/c
		ln README.md second; ln -s x dangling; mkfifo pipe; chmod 600 binary; chmod 2755 third-party; mkdir third-party/new; touch -d @1000000000.5 empty link -h; setfattr -n user.k -v v no-newline
		mkdir -m 0 closed; mkdir -m 500 half; chmod 444 large.bin; truncate -s 5 foo0; echo new > foo-new; mv foo-new foo-bar; mv foo-bar gone; rm gone; mkdir gone; rmdir gone
		(chown 0 README.md 2>&1 || true) | grep -o 'not permitted'; (chgrp 0 binary 2>&1 || true) | grep -o 'not permitted'; chown 1000:1000 bin; (mknod n c 1 3 2>&1 || true) | grep -o 'not permitted'
		(setfattr -n trusted.k -v v binary 2>&1 || true) | grep -o 'not permitted'; (echo x > half/x) 2>&1 | grep -o denied || true; (ls closed 2>&1 || true) | grep -o denied; (echo x > large.bin) 2>&1 | grep -o denied || true; chmod 711 closed`
	if got, want := u.inMount(change), u.inPlain(change); got != want {
		t.Errorf("the mount says\n%s\na plain directory\n%s", got, want)
	}
	want := u.inPlain(everything)
	for i := range 2 {
		if got := u.inMount(everything); got != want {
			t.Errorf("mounted again (%d) it has\n%s\na plain directory\n%s", i, got, want)
		}
	}
	for path, mark := range map[string]string{"dir/b": "user.overlay.opaque", "moved": "user.overlay.redirect", "README.md": "user.overlay.antares.ino"} {
		if n, err := unix.Lgetxattr(u.upper+"/"+path, mark, nil); err != nil || n == 0 {
			t.Errorf("%s in upper has no %s: %v", path, mark, err)
		}
	}
	if got := u.inMount("getfattr -d -m - dir/b moved README.md; getfattr -n user.overlay.opaque dir/b 2>&1 || true"); got != "dir/b: user.overlay.opaque: No such attribute\n" {
		t.Errorf("the overlay's own attributes show: %s", got)
	}
}

func TestUsersBuildInTheirMounts(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	u := newUsersPlace(t, repo)
	u.lab.Need("make", "make")
	build := `cd ` + project + ` && make -s -C c && c/hello && make -q -C c && git init -q . && git add . && git commit -q -m one && git gc -q && git fsck && test -z "$(git status --porcelain)" && sqlite3 db 'PRAGMA journal_mode=wal; CREATE TABLE t (a); INSERT INTO t VALUES (1); PRAGMA integrity_check'`
	if got, want := u.inMount(build), "hello from the mount\nwal\nok\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	if got, want := u.inMount("cd "+project+" && make -q -C c && c/hello && git fsck && rm -rf .git c && ls"), "hello from the mount\nBUCK\ndb\ngo.mod\nmain.go\nmain.rs\n"; got != want {
		t.Errorf("mounted again it says %q, want %q", got, want)
	}
}

// TestOthersDoNotSeeAUsersMount: not even root.
func TestOthersDoNotSeeAUsersMount(t *testing.T) {
	t.Parallel()
	u := newUsersPlace(t, helloRepo(t))
	got := u.asRoot(`
		as_user mkdir "$PLACE/point"; as_user "$PROGRAM" mount --detach --origin "$ORIGIN" --upper "$UPPER" "$PLACE/point" > /dev/null
		(ls "$PLACE/point" 2>&1 || true) | grep -o 'Permission denied'; (cat "$PLACE/point/README.md" 2>&1 || true) | grep -o 'Permission denied'; as_user cat "$PLACE/point/README.md"
		as_user "$PROGRAM" unmount "$PLACE/point"; ls -A "$PLACE/point"`)
	if want := "Permission denied\nPermission denied\n# corpus\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
