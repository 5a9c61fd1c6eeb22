package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"

	"github.com/antares-actor/antares-actor/internal/testfs"
	"github.com/antares-actor/antares-actor/remote/origintest"
)

var suite *testfs.Suite

func TestMain(m *testing.M) {
	os.Exit(testfs.Main(m, "../../cmd/antares-actor", func(s *testfs.Suite) { suite = s }, nil))
}

// notOnExt4 are the tests that ext4 does not pass either. The first wants a lock of flock(2) to be one of fcntl(2), the second
// an extended attribute of 64 KiB.
var notOnExt4 = []string{"FcntlFlockLocksFile", "XAttrLarge"}

// TestPosixtest runs the tests that go-fuse has for its own file systems.
func TestPosixtest(t *testing.T) {
	repo := origintest.NewRepo(t)
	m := suite.New(t).Mount(testfs.Spec{Origin: "git:" + repo.Dir})
	for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
		if slices.Contains(notOnExt4, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Skipped() {
					t.Errorf("left out: the mount lacks something that ext4 has")
				}
			})
			dir := filepath.Join(m.Point, name)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, dir)
		})
	}
}
