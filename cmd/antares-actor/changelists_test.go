package main_test

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/monoserver"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// projectRepo has the branches base, and edit and other, which change what is below project.
func projectRepo(t *testing.T) *origintest.Repo {
	t.Helper()
	repo := origintest.NewRepo(t)
	lines := strings.Repeat("echo a line that stays\n", 20)
	repo.Git(t, "checkout", "-q", "-b", "base")
	for _, name := range []string{"large.bin", "odd", "foo", "dir"} {
		repo.Remove(t, name)
	}
	repo.Write(t, "project/build.sh", "#!/bin/sh\n"+lines, 0o755)
	repo.Write(t, "project/src/lib.c", "int lib;\n"+lines, 0o644)
	repo.Write(t, "project/src/gone.c", "int gone;\n", 0o644)
	repo.Write(t, "project/only/one", "one\n", 0o644)
	repo.Symlink(t, "project/latest", "src/lib.c")
	repo.Write(t, "src/gone.c", "not the project's\n", 0o644)
	repo.Commit(t, "base")
	repo.Git(t, "checkout", "-q", "-b", "edit")
	repo.Git(t, "mv", "project/build.sh", "project/tools.sh")
	repo.Write(t, "project/tools.sh", "#!/bin/sh\n# moved\n"+lines, 0o755)
	repo.Git(t, "mv", "project/only/one", "project/src/one")
	repo.Remove(t, "project/src/gone.c")
	repo.Remove(t, "project/latest")
	repo.Symlink(t, "project/latest", "src/one")
	repo.Write(t, "project/src/lib.c", "int lib2;\n"+lines, 0o644)
	repo.Commit(t, "edit")
	repo.Git(t, "checkout", "-q", "-b", "other", "base")
	for _, name := range []string{"a", "b", "c", "d"} {
		repo.Write(t, "project/new/"+name, strings.Repeat(name, 5000), 0o644)
	}
	repo.Write(t, "project/src/lib.c", "int other;\n", 0o644)
	repo.Commit(t, "other")
	repo.Git(t, "checkout", "-q", "base")
	return repo
}

func (s *server) changelist(t *testing.T, link, rev, path string) {
	t.Helper()
	check(t, s.mono.AddChangelist(t.Context(), monoserver.Changelist{Link: link, Rev: rev, Path: path}))
}

// TestAChangelistIsWhatItsCommitIs: renames, deletions, modes and symbolic links, of a changelist of the root and one of a
// directory; and nothing of it is in upper.
func TestAChangelistIsWhatItsCommitIs(t *testing.T) {
	t.Parallel()
	repo := projectRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	srv.changelist(t, "ROOT", "base..edit", "")
	srv.changelist(t, "SUB", "base..edit", "project")
	for _, flags := range [][]string{{"--cl", "ROOT"}, {"--cl", "SUB", "--cl-path", "project"}} {
		m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: flags})
		wantCommit(t, lab, m.Point, repo.Dir, "edit")
		if said := lab.Actor("status", m.Point).OK(); !strings.Contains(said, "project/tools.sh (from project/build.sh)") {
			t.Errorf("status does not name the rename:\n%s", said)
		}
		m.Unmount()
		wantEmpty(t, m.Upper)
	}
	m := lab.Mount(testfs.Spec{Origin: srv.URL})
	lab.Shell(m.Point, "find . > /dev/null; cat project/build.sh > /dev/null")
	lab.Actor("cl", m.Point, "SUB", "--cl-path", "project").OK()
	wantCommit(t, lab, m.Point, repo.Dir, "edit")
	lab.Actor("cl", m.Point, "--clear").OK()
	wantCommit(t, lab, m.Point, repo.Dir, "base")
}

// TestAChangelistThatCannotBeHadLeavesTheOneBefore: whole, with files that are open, and with the mount in use while it is fetched.
func TestAChangelistThatCannotBeHadLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	repo := projectRepo(t)
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	srv.changelist(t, "OLD", "base..edit", "")
	srv.changelist(t, "NEW", "base..other", "")
	m := lab.Mount(testfs.Spec{Origin: srv.URL, Flags: []string{"--cl", "OLD"}, EIO: true})
	f, err := os.Open(m.Path("project/src/lib.c"))
	check(t, err)
	defer func() { _ = f.Close() }()
	cwd, err := unix.Open(m.Path("project/src"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	check(t, err)
	defer func() { _ = unix.Close(cwd) }()
	lost := repo.ID(t, "other:project/new/d").String()
	for what, rule := range map[string]fault.Rule{
		"one of its files is missing": {Route: lost, Fault: fault.Status(404)},
		"one of its files is damaged": {Route: lost, Fault: fault.Corrupt()},
		"its list is no list":         {Route: "/cl/", Fault: fault.Page()},
		"its list is cut":             {Route: "/cl/", Fault: fault.Short(20)},
	} {
		srv.mono.Faults().Add(rule)
		if r := lab.Actor("cl", m.Point, "NEW"); r.Code == 0 {
			t.Errorf("%s: it is shown: %s", what, r.Stdout)
		}
		srv.mono.Faults().Clear()
		wantCommit(t, lab, m.Point, repo.Dir, "edit")
		if said := lab.Actor("status", m.Point).OK(); !strings.Contains(said, "OLD") || strings.Contains(said, "NEW") {
			t.Errorf("%s: status says\n%s", what, said)
		}
	}

	goOn := make(chan struct{})
	srv.mono.Faults().Add(fault.Rule{Route: lost, Fault: fault.Hold(goOn)})
	done := make(chan testfs.Result)
	go func() { done <- lab.Run(testfs.Command{}, lab.Program(), "cl", m.Point, "NEW") }()
	await(t, "its files are fetched", func() bool { return srv.mono.Faults().Rules()[0].Met > 0 })
	wantCommit(t, lab, m.Point, repo.Dir, "edit") // nobody waits for the download
	close(goOn)
	if r := <-done; r.Code != 0 {
		t.Errorf("in the end: %s", r.Stderr)
	}
	wantCommit(t, lab, m.Point, repo.Dir, "other")
	b := make([]byte, 9)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "int lib2;" {
		t.Errorf("the open file reads %q, %v", b, err)
	}
	fd, err := unix.Openat(cwd, "lib.c", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	check(t, err)
	if _, err := unix.Pread(fd, b, 0); err != nil || string(b) != "int other" {
		t.Errorf("by the open directory it reads %q, %v", b, err)
	}
	check(t, unix.Close(fd))
}

// TestAChangedFileIsFetchedBeforeItIsShown: of a file that the base has, too, nothing but its content is needed.
func TestAChangedFileIsFetchedBeforeItIsShown(t *testing.T) {
	t.Parallel()
	repo := projectRepo(t)
	repo.Git(t, "checkout", "-q", "-b", "changed", "base")
	repo.Write(t, "project/src/lib.c", "int changed;\n", 0o644)
	repo.Commit(t, "changed")
	srv, lab := newServer(t, repo.Dir), suite.New(t)
	_, err := srv.mono.SetHead(t.Context(), "base")
	check(t, err)
	srv.changelist(t, "CHANGED", "base..changed", "")
	srv.mono.Faults().Add(fault.Rule{Route: repo.ID(t, "changed:project/src/lib.c").String(), Fault: fault.Status(404)})
	m := lab.Mount(testfs.Spec{Origin: srv.URL, EIO: true})
	if r := lab.Actor("cl", m.Point, "CHANGED"); r.Code == 0 {
		t.Errorf("it is shown: %s", r.Stdout)
	}
	wantCommit(t, lab, m.Point, repo.Dir, "base")
	srv.mono.Faults().Clear()
	lab.Actor("cl", m.Point, "CHANGED").OK()
	wantCommit(t, lab, m.Point, repo.Dir, "changed")
}
