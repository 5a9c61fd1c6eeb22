package main_test

import (
	"fmt"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

// TestSwitchesWhileTheServerDies switches a mount among three commits while a program changes things in it and the server is
// killed again and again. What it shows in the end must be what a fresh mount of the last commit over the same upper shows.
func TestSwitchesWhileTheServerDies(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	for c := range 3 {
		repo.Git(t, "checkout", "-q", "-b", fmt.Sprint("c", c))
		for i := range 20 {
			path := fmt.Sprintf("%s/f%d", []string{"a", "b", "a/x", "b/y"}[i%4], i)
			if (i*7+c*3)%5 == 0 {
				repo.Remove(t, path)
			} else {
				repo.Write(t, path, fmt.Sprintf("c%d-%d", c, i), 0o644)
			}
		}
		for _, dir := range []string{"a", "b", "a/x", "b/y"} {
			repo.Write(t, dir+"/same", "same", 0o644)
		}
		repo.Commit(t, fmt.Sprint("c", c))
	}
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir + "@c0"})
	switches, rounds := 40, "60"
	if testfs.RaceEnabled {
		switches, rounds = 16, "20"
	}
	busy := lab.Background(m.Point, "sh", "-euc", `
		for n in $(seq `+rounds+`); do for d in a b a/x b/y; do
			echo mine$n >$d/m$n; test "$(cat $d/m$n)" = mine$n
			mv $d/m$n $d/n$n; test $((n % 3)) != 0 || rm $d/n$n
			test "$(cat $d/same)" = same; ls $d >/dev/null
			f=$d/f$((n % 20)); test $((n % 7)) != 0 || echo edit >>$f; test $((n % 11)) != 0 || rm -f $f
		done; done`)
	for i := range switches {
		lab.Actor("switch", m.Point, fmt.Sprint("c", (i*2+i/3)%3)).OK()
		if i%8 == 7 {
			m.KillEngine()
		}
	}
	check(t, busy.Wait())
	lab.Actor("switch", m.Point, "c1").OK()
	seen := testfs.Take(t, m.Point, testfs.Look{})
	m.Unmount()
	fresh := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir + "@c1", Upper: m.Upper})
	testfs.Same(t, "after the switches", seen, "a fresh mount", testfs.Take(t, fresh.Point, testfs.Look{}))
}
