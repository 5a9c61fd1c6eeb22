package upper_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// What other overlays write that is not a device or a directory's mark.
func TestScanOfWhatOtherOverlaysWrite(t *testing.T) {
	f := newStore(t)
	for _, name := range []string{"shown", "hidden"} {
		check(t, os.WriteFile(f.path(name), nil, 0o644))
	}
	check(t, unix.Setxattr(f.path("hidden"), "trusted.overlay.whiteout", nil, 0)) // of an overlay inside an overlay
	found, err := f.Scan(f.Root())
	check(t, err)
	for _, e := range found {
		if e.Whiteout != (e.Name == "hidden") {
			t.Errorf("%s: whiteout %v", e.Name, e.Whiteout)
		}
	}
	check(t, unix.Setxattr(f.path("shown"), "trusted.overlay.metacopy", nil, 0))
	if _, err := f.Scan(f.Root()); !errors.Is(err, upper.ErrMetacopy) {
		t.Errorf("a file without its content: %v", err)
	}
}
