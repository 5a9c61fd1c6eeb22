package main_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

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

// TestOpenFilesKeepTheirBytesWhileTheServerDiesInASwitch kills the server at some moment of each switch. The files that are
// open then have not been read before, so that the kernel cannot answer by itself.
func TestOpenFilesKeepTheirBytesWhileTheServerDiesInASwitch(t *testing.T) {
	t.Parallel()
	repo := origintest.NewRepo(t)
	const dirs, files = 40, 20
	path := func(i int) string { return fmt.Sprintf("d%d/%sf%d", i%dirs, strings.Repeat("x/", i%dirs/10), i) }
	for _, rev := range []string{"c0", "c1"} {
		repo.Git(t, "checkout", "-q", "-b", rev)
		for i := range dirs * files {
			repo.Write(t, path(i), fmt.Sprint(rev, " ", i), 0o644)
		}
		repo.Remove(t, "only")
		repo.Write(t, "only/"+rev+"/f", rev, 0o644)
		repo.Commit(t, rev)
	}
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + repo.Dir + "@c0"})
	rng, died := rand.New(rand.NewPCG(1, 2)), 0
	rev, next := "c0", "c1"
	for range 12 {
		open := map[string]*os.File{"only/" + rev + "/f": nil}
		for i := range dirs * files {
			open[path(i)] = nil
		}
		for path := range open {
			f, err := os.Open(m.Path(path))
			check(t, err)
			open[path] = f
		}
		switching := make(chan error, 1)
		client := controlOf(t, lab, m.Point)
		go func() {
			_, err := client.Switch(t.Context(), next)
			switching <- err
		}()
		time.Sleep(time.Duration(rng.IntN(15_000)) * time.Microsecond)
		m.NextEngine(m.KillEngine())
		if err := <-switching; err != nil {
			died++
		}
		for path, f := range open {
			got, err := io.ReadAll(f)
			if err != nil || !strings.HasPrefix(string(got), rev) {
				t.Errorf("%s, open since before a switch to %s, reads %q, %v, want %q", path, next, got, err, rev)
			}
			check(t, f.Close())
		}
		for _, to := range []string{rev, next} { // one of them waits for the kernel to have forgotten what it was told to forget
			lab.Actor("switch", m.Point, to).OK()
		}
		rev, next = next, rev
	}
	t.Logf("%d of 12 switches failed", died)
}
