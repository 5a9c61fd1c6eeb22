package actors

import (
	"fmt"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/lower"
	"github.com/antares-actor/antares-actor/internal/tree"
)

func rootBelow(local *layer.Local) *tree.Below {
	if roots := local.Roots(); len(roots) > 0 {
		return &tree.Below{Halves: roots}
	}
	return nil
}

// openLowers opens the local lower layers.
func openLowers(spec MountSpec, prefix string) (*layer.Local, error) {
	var dirs []*lower.Dir
	for _, path := range spec.Lowers {
		d, err := lower.Open(path, prefix)
		if err != nil {
			for _, d := range dirs {
				d.Close()
			}
			return nil, fmt.Errorf("%w: %w", ErrBadSpec, err)
		}
		dirs = append(dirs, d)
	}
	return layer.NewLocal(dirs, spec.Origin != nil), nil
}
