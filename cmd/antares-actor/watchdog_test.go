package main_test

import (
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// An engine that is stopped answers nothing, nor does it dump its goroutines. What waits for it is answered by the next one.
func TestAnEngineThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	lab := suite.New(t)
	m := lab.Mount(testfs.Spec{Origin: "git:" + helloRepo(t).Dir, Flags: []string{"--watchdog", "1s"}})
	engine := m.StopEngine()
	lab.Shell(m.Point, "echo more >>README.md; mkdir made; mv made again; rmdir again")
	if m.NextEngine(engine) == engine {
		t.Error("it was not replaced")
	}
	wantContent(t, m.Path("README.md"), "# corpus\nmore\n")
	m.Unmount()
}
