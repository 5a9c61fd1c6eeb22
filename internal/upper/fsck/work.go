package fsck

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// work locks the work directory and looks for what is left in it. release gives it back.
func (c *checker) work() (release func(), err error) {
	path := c.cfg.Work
	if path == "" {
		path = defaultWork(c.cfg.Upper)
		if _, err := os.Lstat(path); err != nil {
			c.add(Problem{Path: path, Kind: Note, Text: "there is no work directory of this name: give --work to check it, too"})
			return func() {}, nil
		}
	}
	c.report.Work = path
	fd, err := openDir(path)
	if err != nil {
		return nil, err
	}
	held := []int{fd}
	release = func() {
		for _, fd := range held {
			closeFd(fd)
		}
	}
	if at, err := unix.Openat(fd, "lock", unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
		held = append(held, at)
		if unix.Flock(at, unix.LOCK_EX|unix.LOCK_NB) != nil {
			release()
			return nil, fmt.Errorf("%w: %s is in use by a mount or another check: unmount it first", upper.ErrInUse, path)
		}
	}
	c.workMarks = marksOf(fd)
	c.workDir(fd, path)
	return release, nil
}

// marksOf returns the name space of the mark that our mounts put on the index in a work directory, "" if there is none.
func marksOf(work int) string {
	for _, prefix := range []string{trusted, user} {
		if found, err := readMarks(work, "links", prefix); err == nil && len(found) > 0 {
			return prefix
		}
	}
	return ""
}

func (c *checker) workDir(fd int, path string) {
	names, err := list(fd)
	if err != nil {
		c.unreadable(path, err)
	}
	for _, name := range names {
		c.report.Checked++
		at := filepath.Join(path, name)
		switch name {
		case "lock", "links", "index": // index and work are kernel overlayfs's
		case "tmp":
			c.leftovers(fd, name, at, "an unfinished file of a mount that did not end cleanly")
		case "orphans":
			c.leftovers(fd, name, at, "a deleted file that was open when its mount did not end cleanly")
		case "work":
			c.leftovers(fd, name, at, "an unfinished file of kernel overlayfs")
		case "incompat": // path is what kernel overlayfs calls the work directory's work
			c.incompat(fd, at)
		default:
			c.add(Problem{Path: at, Kind: Note, Text: "is none of the names that are known in a work directory"})
		}
	}
}

// each calls visit for what is in the directory parent/name, which is at path. at is the path of the child.
func (c *checker) each(parent int, name, path string, visit func(fd int, child, at string)) {
	fd, err := openChildDir(parent, name)
	if err != nil {
		c.unreadable(path, err)
		return
	}
	defer closeFd(fd)
	names, err := list(fd)
	if err != nil {
		c.unreadable(path, err)
	}
	for _, child := range names {
		visit(fd, child, filepath.Join(path, child))
	}
}

// leftovers reports what is in a directory that is empty after a clean unmount.
func (c *checker) leftovers(parent int, name, path, what string) {
	c.each(parent, name, path, func(fd int, left, at string) {
		c.report.Checked++
		if name == "work" && left == "incompat" {
			c.incompat(fd, at)
			return
		}
		if name == "work" && isWhiteout(fd, left) {
			return // kernel overlayfs keeps one to link others to
		}
		c.add(Problem{
			Path: at, Kind: Leftover, Text: what, Remedy: "remove it, or mount: that removes it", done: "removed",
			mend: func() error { return removeBelow(path, left) },
		})
	})
}

// incompat reports the marks by which a mount forbids others. They are for the user to remove.
func (c *checker) incompat(parent int, path string) {
	c.each(parent, "incompat", path, func(_ int, name, at string) {
		if name == "volatile" {
			c.add(Problem{
				Path: at, Kind: Volatile, Text: "upper was used without syncs and not unmounted cleanly: after a crash of the machine files in it may be damaged",
				Remedy: strings.Join([]string{"delete", c.cfg.Upper, "and its work directory, or, to use them as they are, remove this directory"}, " "),
			})
			return
		}
		c.add(Problem{
			Path: at, Kind: Incompatible, Text: "the overlay that used upper had a feature that this version does not know",
			Remedy: "mount it with what it was made by",
		})
	})
}

// removeBelow removes a name of a directory with all that is in it, and nothing outside.
func removeBelow(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveAll(name)
}
