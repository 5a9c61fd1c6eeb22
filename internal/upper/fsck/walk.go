package fsck

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// dir is what the walk knows of the directory that it is in.
type dir struct {
	path   string // below upper, "" for upper itself
	opaque bool   // hides what is below, or stands in one that does
	known  bool   // the lower layers are given, and lower is where its lower half would be
	lower  string
	pure   bool // known, and there is no lower half
}

// claim is a file with an inode number's mark.
type claim struct {
	path     string
	dev, ino uint64
	born     int64 // nanoseconds; 0 if the file system does not tell
}

// marks is what the walk gathers to judge at its end.
type marks struct {
	claims    map[string][]claim  // by number, in the order of the walk
	redirects map[string][]string // by where they lead
}

func newMarks() marks {
	return marks{claims: make(map[string][]claim), redirects: make(map[string][]string)}
}

// walk looks at everything in the directory that fd is open on.
func (c *checker) walk(fd int, d dir) {
	names, err := list(fd)
	if err != nil {
		c.unreadable(c.inUpper(d.path), err)
	}
	for _, name := range names {
		c.report.Checked++
		if err := c.look(fd, d, name); err != nil {
			c.unreadable(c.inUpper(path.Join(d.path, name)), err)
		}
	}
}

// look looks at one name, and at all below it.
func (c *checker) look(parent int, d dir, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	at := path.Join(d.path, name)
	if whiteout(&st) {
		c.whiteout(at, d)
		return nil
	}
	found, err := readMarks(parent, name, c.prefix)
	if err != nil {
		return err
	}
	next := dir{path: at, opaque: d.opaque, known: d.known, pure: d.pure, lower: path.Join(d.lower, name)}
	for _, m := range c.sound(found, at, st.Mode) {
		switch m.name {
		case "opaque":
			next.opaque, next.known, next.pure = true, false, false
		case "redirect":
			c.redirect(&next, d, string(m.value))
		case "antares.ino":
			c.claim(parent, name, &st, at, string(m.value))
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	if next.known && !next.pure {
		next.pure = !c.hasLower(next.lower)
	}
	fd, err := openChildDir(parent, name)
	if err != nil {
		return err
	}
	defer closeFd(fd)
	c.walk(fd, next)
	return nil
}

// whiteout tells whether a file is one: a character device 0:0.
func whiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

func isWhiteout(parent int, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && whiteout(&st)
}

// sound reports the marks that have a fault, and returns those of the others that say where a file's lower half is or which
// number it has.
func (c *checker) sound(found []mark, at string, mode uint32) []mark {
	var good []mark
	opaque := false
	for _, m := range found {
		text, harmless := m.fault(mode)
		switch {
		case text != "":
			c.badMark(at, m, text, harmless)
		case m.name == "opaque":
			if string(m.value) == "y" { // "x" says that there may be whiteouts of another form
				opaque = true
				good = append(good, m)
			}
		case m.name == "redirect" && mode&unix.S_IFMT != unix.S_IFDIR:
		case m.name == "redirect" || m.name == "antares.ino":
			good = append(good, m)
		case strings.HasPrefix(m.name, "antares."), slices.Contains(kernelMarks, m.name):
		default:
			c.add(Problem{Path: c.inUpper(at), Kind: Note, Text: "has the attribute " + c.prefix + m.name + ", which this version does not know"})
		}
	}
	if opaque { // a redirect beside it is not followed
		good = slices.DeleteFunc(good, func(m mark) bool { return m.name == "redirect" })
	}
	return good
}

// redirect follows a directory's redirect.
func (c *checker) redirect(next *dir, d dir, to string) {
	if strings.HasPrefix(to, "/") {
		next.lower, next.opaque = to[1:], false
	} else {
		if d.opaque || d.pure {
			return // a name in a lower half that is not there
		}
		next.lower = path.Join(d.lower, to)
	}
	next.known, next.pure = len(c.cfg.Lower) > 0, false
	if strings.HasPrefix(to, "/") || d.known {
		c.marks.redirects[next.lower] = append(c.marks.redirects[next.lower], next.path)
	}
	if next.known && !c.hasLower(next.lower) {
		c.add(Problem{
			Path: c.inUpper(next.path), Kind: Redirect, Text: fmt.Sprintf("its redirect leads to %q, which no lower layer has", next.lower),
			Remedy: "mount it over the lower layers that it was made over; if they are these, remove " + c.prefix + "redirect and set " + c.prefix + "opaque to y",
		})
	}
}

// claim keeps a file's inode number for the judgement.
func (c *checker) claim(parent int, name string, st *unix.Stat_t, at, number string) {
	var sx unix.Statx_t
	_ = unix.Statx(parent, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &sx)
	c.marks.claims[number] = append(c.marks.claims[number], claim{at, st.Dev, st.Ino, sx.Btime.Sec*1e9 + int64(sx.Btime.Nsec)})
}

// list returns a directory's names in order.
func list(fd int) ([]string, error) {
	own, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) // an offset of its own
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(own), "directory")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}
