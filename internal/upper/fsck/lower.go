package fsck

import (
	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/lower"
)

// openLowers opens the lower layers as a mount does, once the name space of the marks is known: theirs are in the same.
func (c *checker) openLowers() (release func(), err error) {
	var dirs []*lower.Dir
	for _, path := range c.cfg.Lower {
		d, err := lower.Open(path, c.prefix)
		if err != nil {
			for _, d := range dirs {
				d.Close()
			}
			return nil, err
		}
		dirs = append(dirs, d)
	}
	c.lower = layer.NewLocal(dirs, false)
	return c.lower.Close, nil
}

// hasLower tells whether the lower layers show a directory at a path, be it by a redirect within them. One that cannot be looked
// at counts as there: what it hides must not be taken for needless.
func (c *checker) hasLower(path string) bool {
	if path == "" {
		return true
	}
	found, err := c.lower.Redirect(layer.Parent{}, "/"+path)
	if err != nil {
		c.unreadable("/"+path+" in the lower layers", err)
		return true
	}
	return len(found.Halves) > 0
}
