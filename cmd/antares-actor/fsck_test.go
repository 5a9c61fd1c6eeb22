package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func TestFsckAfterAKill(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	held, err := os.Create(m.Path("held"))
	if err != nil {
		t.Fatal(err)
	}
	lab.Shell(m.Point, "echo more >> README.md; rm held; rm foo.txt")
	if r := lab.Actor("fsck", m.Upper); r.Code != 8 || !strings.Contains(r.Stderr, "is in use by a mount") || r.Stdout != "" {
		t.Errorf("while it is mounted: status %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	m.Kill()
	_ = held.Close()
	check(t, testfs.Unmount(m.Point))
	orphans := m.Upper + ".work/orphans/"
	r := lab.Actor("fsck", m.Upper)
	if r.Code != 4 || !strings.HasPrefix(r.Stdout, orphans) || !strings.Contains(r.Stdout, "remove it, or mount") || strings.Count(r.Stdout, "\n") != 2 {
		t.Errorf("status %d, %s", r.Code, r.Stdout)
	}
	if r = lab.Actor("fsck", "--repair", m.Upper); r.Code != 1 || !strings.HasPrefix(r.Stdout, orphans) || !strings.Contains(r.Stdout, ": repaired: removed\n") {
		t.Errorf("status %d, %s", r.Code, r.Stdout)
	}
	wantEmpty(t, orphans)
	if said := lab.Actor("fsck", "--work", m.Upper+".work", m.Upper).OK(); !strings.HasSuffix(said, " names checked, 0 problems, 0 repaired\n") {
		t.Error(said)
	}
	m = lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir, Upper: m.Upper})
	wantAbsent(t, m.Path("foo.txt"))
	m.Unmount()
}

// TestFsckFollowsTheRedirectsOfLowerLayers: what a lower layer renamed stands under its old name in those below, and a whiteout in
// it hides something all the same.
func TestFsckFollowsTheRedirectsOfLowerLayers(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	bottom := lab.Mkdir("bottom")
	lab.Shell(bottom, "mkdir -p old/sub/deep; touch old/sub/deleted old/sub/deep/deleted old/sub/kept")
	m := lab.Mount(testfs.Spec{Flags: []string{"--lower", "dir:" + bottom}})
	lab.Shell(m.Point, "mv old new")
	m.Unmount()
	lowers := []string{"--lower", "dir:" + m.Upper, "--lower", "dir:" + bottom}
	m = lab.Mount(testfs.Spec{Flags: lowers})
	lab.Shell(m.Point, "rm new/sub/deleted new/sub/deep/deleted; mv new/sub moved")
	want := testfs.Take(t, m.Point, testfs.Look{})
	m.Unmount()
	said := lab.Actor(append([]string{"fsck", "--repair", m.Upper}, lowers...)...)
	if said.Code != 0 || !strings.HasSuffix(said.Stdout, " 0 problems, 0 repaired\n") {
		t.Errorf("status %d: %s%s", said.Code, said.Stdout, said.Stderr)
	}
	m = lab.Mount(testfs.Spec{Flags: lowers, Upper: m.Upper})
	testfs.Same(t, "after the check", testfs.Take(t, m.Point, testfs.Look{}), "before", want)
	m.Unmount()
}

func TestFsckOfDamage(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	upper, lower := lab.Mkdir("upper"), lab.Mkdir("lower")
	odd := filepath.Join(upper, "odd\nname")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(odd, "trusted.overlay.redirect", []byte("/nowhere"), 0); err != nil {
		t.Fatal(err)
	}
	lab.Actor("fsck", upper).OK()
	args := []string{"fsck", "--lower", "dir:" + lower, "--repair"}
	r := lab.Actor(append(args, upper)...)
	if lines := strings.Split(r.Stdout, "\n"); r.Code != 4 || len(lines) != 4 || !strings.Contains(r.Stdout, `odd\nname": its redirect leads to "nowhere"`) {
		t.Errorf("status %d, %q", r.Code, r.Stdout)
	}
	r = lab.Actor(append(args, "--json", upper)...)
	var report struct {
		Upper    string
		Checked  int
		Problems []struct{ Path, Kind, Text, Remedy, Repaired string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil || r.Code != 4 || report.Upper != upper || report.Checked != 1 || len(report.Problems) != 2 {
		t.Errorf("status %d, %v: %+v", r.Code, err, report)
	}
	for _, args := range [][]string{{"fsck"}, {"fsck", "--lower", lower, upper}, {"fsck", "--novel", upper}} {
		wantRefusal(t, lab, refusal{2, []string{"antares-actor"}}, args...)
	}
	for _, args := range [][]string{{"fsck", lab.Path("none")}, {"fsck", "--lower", "dir:" + lab.Path("none"), upper}, {"fsck", "--work", lab.Path("none"), upper}} {
		wantRefusal(t, lab, refusal{8, []string{lab.Path("none")}}, args...)
	}
}
