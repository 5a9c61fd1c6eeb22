package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

var suite *testfs.Suite

func TestMain(m *testing.M) {
	if job := os.Getenv(jobVar); job != "" { // a program of a run
		os.Exit(play(job))
	}
	os.Exit(testfs.Main(m, "../../cmd/antares-actor", func(s *testfs.Suite) { suite = s }, nil))
}

// perform runs with few kills. It shows what the report says, or the failure. Under the race detector, which takes ten times as
// long, it is a shorter run: what it is for there is the takeovers.
func perform(t *testing.T, o options) error {
	t.Helper()
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	o.program, o.scratch, o.seed, o.limit, o.cache = suite.Program, t.TempDir(), 1, 3*time.Minute, strings.TrimSpace(string(cache))
	o.trees = 30
	if testfs.RaceEnabled {
		o.trees, o.only, o.kills, o.calm = 6, "writer", min(o.kills, 2), min(o.calm, time.Second)
	}
	var out bytes.Buffer
	err = chaos(t.Context(), &o, &out)
	t.Logf("%s", &out)
	return err
}

// TestThePlainDirectoryPasses shows that what the programs ask for is what a file system does.
func TestThePlainDirectoryPasses(t *testing.T) {
	if err := perform(t, options{mode: modeKill, calm: 3 * time.Second, baseline: t.TempDir()}); err != nil {
		t.Error(err)
	}
}

// TestNobodyNoticesTwentyKills is the run that "make chaos" is, made short.
func TestNobodyNoticesTwentyKills(t *testing.T) {
	if err := perform(t, options{mode: modeKill, kills: 20}); err != nil {
		t.Error(err)
	}
}

// TestEverythingThatWasAcknowledgedIsThereAfterACrash: the engine and the keeper are killed at once.
func TestEverythingThatWasAcknowledgedIsThereAfterACrash(t *testing.T) {
	if err := perform(t, options{mode: modeBoth, kills: 3}); err != nil {
		t.Error(err)
	}
}
