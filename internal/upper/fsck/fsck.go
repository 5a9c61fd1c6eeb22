package fsck

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// Config says what to check.
type Config struct {
	Upper  string
	Work   string   // "" is Upper + ".work" if there is one
	Lower  []string // local directories below upper, topmost first; none if they are not known
	Repair bool
}

// Kind is a sort of problem.
type Kind string

// The sorts of problems.
const (
	Leftover     Kind = "leftover"      // an unfinished or unlinked file in the work directory
	Volatile     Kind = "volatile"      // a volatile mount did not end cleanly
	Incompatible Kind = "incompatible"  // the work directory says that another overlay's feature is in use
	Whiteout     Kind = "whiteout"      // a whiteout that hides nothing
	Redirect     Kind = "redirect"      // a redirect that leads nowhere
	BadMark      Kind = "bad-mark"      // an overlay attribute whose value means nothing
	SharedNumber Kind = "shared-number" // two files that claim one inode number
	Unreadable   Kind = "unreadable"
	Note         Kind = "note" // information, not damage
)

// Problem is one thing that is wrong.
type Problem struct {
	Path     string `json:"path"`
	Kind     Kind   `json:"kind"`
	Text     string `json:"text"`
	Remedy   string `json:"remedy,omitempty"`
	Repaired string `json:"repaired,omitempty"` // what was done about it

	mend func() error
	done string // what mend does, in the past tense
}

// Report is what a check found.
type Report struct {
	Upper    string    `json:"upper"`
	Work     string    `json:"work,omitempty"`
	Checked  int       `json:"checked"` // names looked at
	Problems []Problem `json:"problems"`
}

// Found returns how many problems there are, notes left out, and how many of them were repaired.
func (r *Report) Found() (problems, repaired int) {
	for _, p := range r.Problems {
		if p.Kind != Note {
			problems++
		}
		if p.Repaired != "" {
			repaired++
		}
	}
	return problems, repaired
}

// checker is one check under way.
type checker struct {
	cfg    Config
	report *Report
	root   int // upper
	lower  *layer.Local
	prefix string // of the marks that count

	workMarks string // name space of the work directory's marks, "" if it has none

	marks marks
}

// Check looks for problems, and with cfg.Repair mends what it can. An error means that it could not look: ErrInUse of
// package upper if something has upper mounted.
func Check(cfg Config) (*Report, error) {
	c := &checker{cfg: cfg, report: &Report{Upper: cfg.Upper, Problems: []Problem{}}, marks: newMarks()}
	root, err := openDir(cfg.Upper)
	if err != nil {
		return nil, err
	}
	defer closeFd(root)
	c.root = root
	if err := lock(root, cfg.Upper); err != nil {
		return nil, err
	}
	if err := notMounted(root, cfg.Upper); err != nil {
		return nil, err
	}
	release, err := c.work()
	if err != nil {
		return nil, err
	}
	defer release()
	c.prefix = c.nameSpace()
	closeLowers, err := c.openLowers()
	if err != nil {
		return nil, err
	}
	defer closeLowers()
	if own, err := readMarks(root, ".", c.prefix); err != nil {
		c.unreadable(cfg.Upper, err)
	} else {
		c.sound(own, ".", unix.S_IFDIR)
	}
	c.walk(root, dir{known: len(cfg.Lower) > 0})
	c.judge()
	slices.SortStableFunc(c.report.Problems, func(a, b Problem) int { return cmp.Compare(a.Path, b.Path) })
	if cfg.Repair {
		c.repair()
	}
	return c.report, nil
}

// nameSpace is where the marks of upper are. Those in the other one are data of users, say of an overlay in the mount, and count
// only where nothing tells of the first. The work directory of our mounts has a mark of its own.
func (c *checker) nameSpace() string {
	for _, prefix := range []string{trusted, user} {
		if c.workMarks == prefix || c.workMarks == "" && anyMark(c.root, prefix) {
			return prefix
		}
	}
	if os.Geteuid() == 0 {
		return trusted // as a mount would write them
	}
	return user
}

func (c *checker) repair() {
	for i := range c.report.Problems {
		p := &c.report.Problems[i]
		if p.mend == nil {
			continue
		}
		if err := p.mend(); err != nil {
			p.Remedy = fmt.Sprintf("repair failed (%v); %s", err, p.Remedy)
			continue
		}
		p.Repaired = p.done
	}
}

func (c *checker) add(p Problem) { c.report.Problems = append(c.report.Problems, p) }

// unreadable reports what could not be looked at.
func (c *checker) unreadable(path string, err error) {
	c.add(Problem{Path: path, Kind: Unreadable, Text: err.Error(), Remedy: "check the file system that it is on"})
}

func openDir(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open directory", Path: path, Err: err}
	}
	return fd, nil
}

func openChildDir(parent int, name string) (int, error) {
	return unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func closeFd(fd int) { _ = unix.Close(fd) }

// lock takes the lock that a mount holds.
func lock(fd int, path string) error {
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s is in use by a mount or another check: unmount it first", upper.ErrInUse, path)
	} else if err != nil {
		return &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return nil
}

// defaultWork is the work directory that a mount uses unless it is told another.
func defaultWork(upper string) string { return filepath.Clean(upper) + ".work" }
