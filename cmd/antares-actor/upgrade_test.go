package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/internal/testfs"
)

// install puts a program in the place of another one, as a package manager does: nobody sees half of it. What the parallel tests
// start meanwhile would hold a copy of the descriptor by which it is written, until its exec, and nobody could run the program.
func install(t *testing.T, path string, program []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	check(t, firstOf(os.WriteFile(path+".new", program, 0o755), os.Rename(path+".new", path)))
}

func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	program, err := os.ReadFile(lab.Program())
	check(t, err)
	path, point := lab.Path("installed"), lab.Mkdir("point")
	install(t, path, program)
	run := func(args ...string) testfs.Result { return lab.Run(testfs.Command{}, path, args...) }
	run("mount", "--detach", "--origin", "git:"+repo.Dir, "--upper", lab.Path("upper"), point).OK()
	defer func() { lab.Actor("unmount", point).OK() }()

	busy := lab.Background(point, "sh", "-euc", `
		exec 3<>held; rm held
		for i in $(seq 150); do
			mkdir d$i; echo $i >d$i/f; mv d$i e$i; test "$(cat e$i/f)" = $i
			rm e$i/f; rmdir e$i; echo $i >&3; ls >/dev/null
		done
		test $(wc -l </proc/self/fd/3) = 150`)
	for range 3 {
		install(t, path, program)
		if said := run("upgrade", point).OK(); !strings.Contains(said, "pause") {
			t.Errorf("it says %q", said)
		}
	}
	check(t, busy.Wait())

	before := engineOf(t, lab, point)
	for what, refused := range map[string]struct{ program, says string }{
		"not a program":   {"nothing", "cannot be started"},
		"another version": {"#!/bin/sh\necho other\n", "session version other"},
		"one that ends":   {"#!/bin/sh\n[ $1 = version ] && echo " + actors.SessionVersion + "\n", "the new engine ended"},
	} {
		install(t, path, []byte(refused.program))
		r := lab.Actor("upgrade", point)
		if r.Code != 3 || !strings.Contains(r.Stderr, refused.says) {
			t.Errorf("%s: exit status %d, %q", what, r.Code, r.Stderr)
		}
		if after := engineOf(t, lab, point); after != before {
			t.Errorf("%s: engine %s, before it %s", what, after, before)
		}
		wantContent(t, point+"/foo.txt", "2\n")
	}
	install(t, path, program)
	run("upgrade", point).OK()
	wantContent(t, point+"/foo.txt", "2\n")
}

// What was fetched a moment ago waits for the disk.
func TestAnUpgradeKeepsWhatWasFetched(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir})
	wantContent(t, m.Path("foo.txt"), "2\n")
	lab.Actor("upgrade", m.Point).OK()
	id := object.Sum(object.Blob, []byte("2\n"))
	dir := strings.TrimSpace(lab.Actor("cache", "path").OK())
	if path := filepath.Join(dir, "objects", id.String()[:2], id.String()[2:]); !slices.Contains(objectFiles(t, dir), path) {
		t.Errorf("%s is not there", path)
	}
}

func TestUpgradeOfWhatCannotBe(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	if r := lab.Actor("upgrade", lab.Mkdir("empty")); r.Code != 3 || !strings.Contains(r.Stderr, "not mounted") {
		t.Errorf("nothing there: exit status %d, %q", r.Code, r.Stderr)
	}
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir, Flags: []string{"--no-keeper"}})
	if r := lab.Actor("upgrade", m.Point); r.Code != 2 || !strings.Contains(r.Stderr, "without a keeper") {
		t.Errorf("without a keeper: exit status %d, %q", r.Code, r.Stderr)
	}
	m.Unmount()
}

// engineOf returns the process that serves a mount.
func engineOf(t *testing.T, lab *testfs.Lab, point string) string {
	t.Helper()
	list := exec.Command(lab.Program(), "list", "--json")
	list.Env = lab.Env()
	out, err := list.Output()
	check(t, err)
	_, mine, found := strings.Cut(string(out), fmt.Sprintf("%q", point))
	_, engine, ok := strings.Cut(mine, `"engine": `)
	if !found || !ok {
		t.Fatalf("list has %s", out)
	}
	engine, _, _ = strings.Cut(engine, "\n")
	return engine
}
