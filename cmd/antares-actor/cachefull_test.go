package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// TestAFullCacheDiskStopsNobody: with the cache on a disk that is much too small, and then on one that others fill, every file is
// read as it is, and changed.
func TestAFullCacheDiskStopsNobody(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 40 {
		files[fmt.Sprint("small", i)] = largeText(300_000 + 2*i)
	}
	for i := range 6 {
		files[fmt.Sprint("large", i)] = largeText(6<<20 + 2*i)
	}
	repo := importRepo(t, files)
	for name, othersFill := range map[string]bool{"too small": false, "filled by others": true} {
		t.Run(name, func(t *testing.T) {
			disk := testfs.NewDisk(t, "ext4", "24M")
			lab, srv := suite.New(t), newServer(t, repo.Dir)
			if othersFill {
				lab.Run(testfs.Command{Dir: disk.Dir}, "bash", "-c", "head -c 100M /dev/zero > filler; test -s filler").OK()
			}
			m := lab.Mount(testfs.Spec{Origin: srv.URL, Cache: disk.Dir + "/cache", EIO: true}) // for the warning
			for round := range 2 {
				for path, text := range files {
					if got, err := os.ReadFile(m.Path(path)); err != nil || string(got) != text {
						t.Fatalf("round %d: %s: %d bytes, %v", round, path, len(got), err)
					}
				}
			}
			lab.Shell(m.Point, "for f in small* large*; do echo more >> $f; done")
			for path, text := range files {
				wantContent(t, m.Path(path), text+"more\n")
			}
			if n := strings.Count(m.Log(), "cache disk takes no more objects"); n > 1 || othersFill && n != 1 {
				t.Errorf("%d warnings, want one if there is no room to be made: %s", n, m.Log())
			}
			m.Unmount()
		})
	}
}
