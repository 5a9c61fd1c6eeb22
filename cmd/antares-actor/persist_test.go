package main_test

import (
	"strings"
	"testing"

	"github.com/antares-actor/antares-actor/internal/testfs"
)

// TestChangesPersistOverARemount: everything, the numbers of inodes included. A build tool that sees another number believes
// that the file is another.
func TestChangesPersistOverARemount(t *testing.T) {
	t.Parallel()
	repo := helloRepo(t)
	eachOrigin(t, repo, func(t *testing.T, lab *testfs.Lab, origin string) {
		m := lab.Mount(testfs.Spec{Origin: origin})
		look := testfs.Look{Before: 1 << 40, Inodes: true}
		fresh := testfs.Take(t, m.Point, look)
		lab.Shell(m.Point, `
			echo changed >> README.md; chmod 600 binary; touch -h -d @1000000000 link; touch -d @1000000000 dir/b
			echo new > new; mkdir made; echo x > made/x; ln -s x made/link; ln new made/second; mkfifo made/pipe
			rm foo.txt; rm -r odd; mkdir odd; mv foo-bar made/moved; mv made/x made/y`)
		changed := testfs.Take(t, m.Point, look)
		for _, path := range []string{"README.md", "binary", "link", "dir/b", "dir/b/same", "empty", "dir"} {
			if inode(fresh[path]) != inode(changed[path]) {
				t.Errorf("%s: copy-up changed the inode number: %s, was %s", path, changed[path], fresh[path])
			}
		}
		if inode(fresh["foo-bar"]) != inode(changed["made/moved"]) {
			t.Errorf("a rename changed the inode number: %s, was %s", changed["made/moved"], fresh["foo-bar"])
		}
		m.Unmount()
		for range 2 { // the second time nothing has changed at all
			m = lab.Mount(testfs.Spec{Origin: origin, Upper: m.Upper})
			testfs.Same(t, "remount", testfs.Take(t, m.Point, look), "mount", changed)
			m.Unmount()
		}
		other := lab.Mount(testfs.Spec{Origin: origin})
		again := testfs.Take(t, other.Point, look)
		again["."] = fresh["."] // the root's time is upper's
		testfs.Same(t, "another mount", again, "first mount", fresh)
	})
}

// inode returns the number from a snapshot's line.
func inode(line string) string {
	_, after, _ := strings.Cut(line, " inode ")
	n, _, _ := strings.Cut(after, " ")
	return n
}
