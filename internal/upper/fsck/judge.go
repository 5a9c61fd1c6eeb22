package fsck

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// inUpper is the path of a name of upper as the user knows it.
func (c *checker) inUpper(at string) string { return filepath.Join(c.cfg.Upper, at) }

// whiteout judges a whiteout in d.
func (c *checker) whiteout(at string, d dir) {
	if !d.opaque && !d.pure {
		return
	}
	text := "a whiteout in an opaque directory, where it hides nothing"
	if !d.opaque {
		text = "a whiteout in a directory that no lower layer has, where it hides nothing"
	}
	c.add(Problem{
		Path: c.inUpper(at), Kind: Whiteout, Text: text, Remedy: "remove it", done: "removed",
		mend: func() error { return c.inParent(at, removeWhiteout) },
	})
}

func removeWhiteout(parent int, name string) error {
	if !isWhiteout(parent, name) {
		return fmt.Errorf("it is no whiteout any more: %w", unix.ESTALE)
	}
	return unix.Unlinkat(parent, name, 0)
}

// badMark reports a mark with a fault. One that overlays take no notice of can go.
func (c *checker) badMark(at string, m mark, text string, harmless bool) {
	p := Problem{Path: c.inUpper(at), Kind: BadMark, Text: text, Remedy: "remove the attribute " + c.prefix + m.name}
	if harmless {
		p.mend, p.done = c.unmark(at, m.name), "attribute removed"
	} else {
		p.Remedy = fmt.Sprintf("set the attribute %sredirect to the directory's path in the lower layer, or remove it and set %sopaque to y", c.prefix, c.prefix)
	}
	c.add(p)
}

func (c *checker) unmark(at, name string) func() error {
	return func() error {
		return c.inParent(at, func(parent int, base string) error { return removexattr(parent, base, c.prefix+name) })
	}
}

// judge looks at what only the whole tree tells.
func (c *checker) judge() {
	for _, claims := range c.marks.claims {
		c.judgeClaims(claims)
	}
	for to, paths := range c.marks.redirects {
		for _, at := range paths[1:] {
			c.add(Problem{
				Path: c.inUpper(at), Kind: Note,
				Text: fmt.Sprintf("its redirect leads to %q, as that of %s does: one is a copy, or the name came back in a switch", to, c.inUpper(paths[0])),
			})
		}
	}
}

// judgeClaims finds files that are not one file and claim one number. The oldest keeps it; a mount gives the others numbers
// of their own, which is what removing the mark does.
func (c *checker) judgeClaims(claims []claim) {
	oldest := slices.MinFunc(claims, func(a, b claim) int { return cmp.Compare(a.born, b.born) })
	for _, it := range claims {
		if it.dev == oldest.dev && it.ino == oldest.ino {
			continue
		}
		c.add(Problem{
			Path: c.inUpper(it.path), Kind: SharedNumber,
			Text:   "claims the inode number of " + c.inUpper(oldest.path) + ", of which it is no hard link",
			Remedy: "remove the attribute " + c.prefix + "antares.ino of the copy", done: "attribute removed",
			mend: c.unmark(it.path, "antares.ino"),
		})
	}
}

// inParent calls do with the directory that a path of upper stands in, opened anew without following links.
func (c *checker) inParent(at string, do func(parent int, name string) error) error {
	names := strings.Split(at, "/")
	fd, err := unix.Openat(c.root, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for _, name := range names[:len(names)-1] {
		if err != nil {
			return err
		}
		next, nerr := openChildDir(fd, name)
		closeFd(fd)
		fd, err = next, nerr
	}
	if err != nil {
		return err
	}
	defer closeFd(fd)
	return do(fd, names[len(names)-1])
}
