package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// TestAPowerCut: a program changes one file after another, then upper's disk loses power. Afterwards each file has its old
// content or its new one, and its mode; what the program synced is new; and what the crash left in the work directory is all
// that fsck finds.
func TestAPowerCut(t *testing.T) {
	t.Parallel()
	const files = 60
	repo := helloRepo(t)
	old := strings.Repeat("0123456789abcde\n", 4<<10)
	for i := range files {
		repo.Write(t, fmt.Sprintf("many/%d/%d/file", i%7, i), old, 0o755)
	}
	repo.Commit(t, "many")
	for _, fs := range []string{"ext4", "xfs"} {
		for _, synced := range []int{0, 17, 40} {
			t.Run(fmt.Sprintf("%s, %d synced", fs, synced), func(t *testing.T) {
				t.Parallel()
				lab := suite.New(t)
				disk := testfs.NewDisk(t, fs, "320M")
				spec := testfs.Spec{Origin: "git:" + repo.Dir, Upper: filepath.Join(disk.Dir, "upper"), EIO: true}
				m := lab.Mount(spec)
				lab.Shell(m.Point, fmt.Sprintf(`
					for i in $(seq 0 %d); do
						f=many/$((i %% 7))/$i/file
						printf NEW | dd of=$f conv=notrunc status=none
						test $i -ge %d || sync $f
					done`, files-1, synced))
				disk.Fail()
				m.Unmount()
				disk.Mend()
				if r := lab.Actor("fsck", "--repair", spec.Upper); r.Code > 1 {
					t.Errorf("fsck: status %d\n%s", r.Code, r.Stdout)
				}
				lab.Actor("fsck", spec.Upper).OK()
				m = lab.Mount(spec)
				for i := range files {
					path := m.Path("many", fmt.Sprint(i%7), fmt.Sprint(i), "file")
					got := read(t, path)
					if got != "NEW"+old[3:] && (got != old || i < synced) {
						t.Errorf("file %d has %d bytes: %.20q", i, len(got), got)
					}
					for p := path; p != m.Point; p = filepath.Dir(p) {
						if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o755 {
							t.Errorf("%s: %v, %v", p, info, err)
						}
					}
				}
				m.Unmount()
			})
		}
	}
}
