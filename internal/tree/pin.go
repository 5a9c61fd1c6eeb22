package tree

import (
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/object"
)

// Pin is a commit of the origin that a mount showed or shows. Immutable.
type Pin struct {
	Commit object.ID
	// Time is what the files that came with it have as their times: of a mount's first pin the commit's, of a later one the
	// moment of the switch. Build tools compare with what they made before, so a file that changes must look newer.
	Time unix.Timespec
}
