package actors

import (
	"fmt"

	"github.com/antares-actor/antares-actor/internal/lfs"
)

var _ Content = (*lfs.Content)(nil)

// wrapLFS has a mount that shows the files of Git LFS read an origin that has them in the place of their pointers; content
// has the store to go with it.
func (e *Engine) wrapLFS(spec *MountSpec) error {
	if !spec.LFS || spec.Origin == nil {
		return nil
	}
	origin, err := lfs.Origin(spec.Origin, e.lfs)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadSpec, err)
	}
	spec.Origin = origin
	return nil
}

// content is the engine's content store as the mount sees it.
func (m *Mount) content() Content {
	if m.spec.LFS {
		return m.engine.lfs
	}
	return m.engine.cfg.Content
}
