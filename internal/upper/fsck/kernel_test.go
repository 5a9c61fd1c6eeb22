package fsck_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper/fsck"
)

// life is what happens in an overlay.
const life = `
	echo more >> there/file; chmod 600 there/deep/f1; rm there/deep/f2; ln there/deep/f3 linked
	rm -r whole; mkdir whole; echo new > whole/f1; rm whole/f1
	mkdir own own/deep; echo x > own/deep/x; rm own/deep/x; mv own/deep own/moved
	rm -r many; mkdir many; touch many/f1 many/f2; rm many/f1; mv many other; mkdir many
	mv there/link there/link2; rm there/link2; ln -s x there/link; mkfifo pipe
	mv moved somewhere || true; mkdir moved 2>/dev/null || true; touch somewhere/f9 2>/dev/null || true
	rm -f somewhere/f1; mv somewhere/sub again || true; chown 5:6 other/f2
	setfattr -n user.a -v b there/deep/f4; cp -a there copy; cp --sparse=always there/file sparse
`

// TestUppersOfKernelOverlayfsAreClean: whatever it leaves in an upper, with its features on or off.
func TestUppersOfKernelOverlayfsAreClean(t *testing.T) {
	for _, options := range []string{
		"redirect_dir=off", "redirect_dir=on", "redirect_dir=on,metacopy=on", "redirect_dir=on,index=on", "index=on,nfs_export=on", "userxattr",
		"redirect_dir=on,xino=on,volatile",
	} {
		t.Run(strings.ReplaceAll(options, ",", " "), func(t *testing.T) {
			x := &tree{t: t, dir: t.TempDir()}
			x.mkdir("upper", "upper.work", "mnt")
			for _, dir := range []string{"there/deep", "whole", "many", "moved/sub"} {
				x.mkdir("lower/" + dir)
				for i := range 6 {
					x.file(fmt.Sprintf("lower/%s/f%d", dir, i))
				}
			}
			x.file("lower/there/file", "lower/there/link")
			x.check(unix.Mount("overlay", x.path("mnt"), "overlay", 0,
				fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,%s", x.path("lower"), x.path("upper"), x.path("upper.work"), options)))
			cmd := exec.Command("bash", "-eu", "-c", life)
			cmd.Dir = x.path("mnt")
			out, err := cmd.CombinedOutput()
			x.check(unix.Unmount(x.path("mnt"), 0))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, lower := range []bool{false, true} {
				r, got := x.fsck(fsck.Config{}, lower)
				for i, p := range r.Problems {
					if p.Kind != fsck.Volatile { // which kernel overlayfs leaves behind
						t.Errorf("%s: %s", got[i], p.Text)
					}
				}
				if r.Checked < 20 {
					t.Errorf("only %d names were looked at", r.Checked)
				}
			}
		})
	}
}
