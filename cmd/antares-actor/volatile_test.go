package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

func TestAVolatileUpperIsRefusedAfterACrashOnly(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	lab := suite.New(t)
	spec := testfs.Spec{Origin: "git:" + repo.Dir, Upper: lab.Path("upper"), Flags: []string{"--volatile"}}
	m := lab.Mount(spec)
	lab.Shell(m.Point, "echo more >> README.md; sync README.md")
	m.Unmount()
	spec.Detach = true // which passes the flag on
	m = lab.Mount(spec)
	lab.Shell(m.Point, "echo more >> README.md")
	mark := filepath.Join(m.Upper+".work", "work", "incompat", "volatile")
	if _, err := os.Stat(mark); err != nil {
		t.Error(err)
	}
	m.Kill()
	for _, left := range records(m.Point) { // any mount that comes sweeps it away, in the middle of the comparisons that follow
		if err := os.Remove(left); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	lab.Run(testfs.Command{}, "umount", m.Point).OK()
	for _, flags := range [][]string{nil, {"--volatile"}} {
		args := append([]string{"mount", "--origin", spec.Origin, "--upper", m.Upper}, flags...)
		wantRefusal(t, lab, refusal{3, []string{m.Upper, "not unmounted cleanly", "delete it", "remove " + mark}}, append(args, m.Point)...)
	}
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	m = lab.Mount(testfs.Spec{Origin: spec.Origin, Upper: spec.Upper})
	if got := lab.Shell(m.Point, "tail -n 2 README.md"); got != "more\nmore\n" {
		t.Errorf("README.md ends with %q", got)
	}
	m.Unmount()
	lab.Actor("run", "--volatile", "--origin", spec.Origin, "--upper", lab.Path("other"), "--", "test", "-e", lab.Path("other.work/work/incompat/volatile")).OK()
}
