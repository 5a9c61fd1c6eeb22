package load

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/chaos/model"
)

// stream reads a large directory a little at a time, from its beginning to its end and again, while names come and go in it.
type stream struct {
	fd   int
	seen map[string]int
	born int
}

func (s *stream) hold(h *holder, _ int) (err error) {
	s.seen = make(map[string]int)
	s.fd, err = unix.Open(h.path("large"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return err
}

func (s *stream) check(h *holder) error {
	buf := make([]byte, 8192)
	n, err := unix.Getdents(s.fd, buf)
	if err != nil {
		return fmt.Errorf("getdents: %w", err)
	}
	_, _, names := unix.ParseDirent(buf[:n], -1, nil)
	for _, name := range names {
		s.seen[name]++
	}
	if n == 0 {
		if err := s.whole(); err != nil {
			return err
		}
		clear(s.seen)
		if _, err := unix.Seek(s.fd, 0, unix.SEEK_SET); err != nil {
			return fmt.Errorf("rewind: %w", err)
		}
	}
	return s.disturb(h)
}

// disturb makes a name and removes an earlier one.
func (s *stream) disturb(h *holder) error {
	s.born++
	path := func(i int) string { return h.path("large", fmt.Sprint("comes-and-goes-", i)) }
	if err := os.WriteFile(path(s.born), nil, 0o644); err != nil {
		return err
	}
	if err := os.Remove(path(s.born - 20)); err != nil && s.born > 20 && !h.w.Cuts {
		return err
	}
	return nil
}

// whole compares a listing: what stays is in it once.
func (s *stream) whole() error {
	for i := range listed {
		if name := filepath.Base(steady(i)); s.seen[name] != 1 {
			return fmt.Errorf("the stream shows %s %d times", name, s.seen[name])
		}
	}
	for name, times := range s.seen {
		if times > 1 || name != "." && name != ".." && !strings.HasPrefix(name, "a-name-") && !strings.HasPrefix(name, "comes-") {
			return fmt.Errorf("the stream shows %q %d times", name, times)
		}
	}
	return nil
}

func (s *stream) drop() { closeAll(&s.fd) }

// workingDir is a working directory that was removed.
type workingDir struct{ gone string }

func (d *workingDir) hold(h *holder, generation int) error {
	d.gone = h.own("cwd", generation)
	return errors.Join(unix.Mkdir(d.gone, 0o755), unix.Chdir(d.gone), unix.Rmdir(d.gone))
}

func (d *workingDir) check(*holder) error {
	var st unix.Stat_t
	if err := unix.Stat(".", &st); err != nil || st.Nlink != 0 {
		return fmt.Errorf("it has %d links: %w", st.Nlink, err)
	}
	if _, err := unix.Open("new", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644); err != unix.ENOENT {
		return fmt.Errorf("a file can be made: %w", err)
	}
	fd, err := unix.Open(".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if n, err := unix.Getdents(fd, make([]byte, 4096)); n > 0 || err != nil && err != unix.ENOENT {
		return fmt.Errorf("it lists %d bytes: %w", n, err)
	}
	if err := unix.Lstat(d.gone, &st); err != unix.ENOENT {
		return fmt.Errorf("it has a name: %w", err)
	}
	return nil
}

func (d *workingDir) drop() { _ = unix.Chdir("/") }

// movedDir is an open directory that is given other names while files are made in it.
type movedDir struct {
	fd    int
	first string // its first name
	place string // its name now
	moves int
	node  *model.Node
}

func (d *movedDir) hold(h *holder, generation int) (err error) {
	d.first, d.node = h.own("moved", generation), model.NewRoot()
	d.place = d.first
	if err := unix.Mkdir(d.place, 0o755); err != nil {
		return err
	}
	d.fd, err = unix.Open(d.place, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return err
}

func (d *movedDir) check(*holder) error {
	d.moves++
	to := fmt.Sprintf("%s-%d", d.first, d.moves)
	if err := unix.Rename(d.place, to); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	d.place = to
	name := fmt.Sprint("f", d.moves)
	fd, err := unix.Openat(d.fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("create in it: %w", err)
	}
	if err := unix.Close(fd); err != nil {
		return err
	}
	model.Place{Dir: d.node, Name: name}.Add(model.NewFile(0o644, nil))
	if d.moves > 10 {
		name := fmt.Sprint("f", d.moves-10)
		if err := unix.Unlinkat(d.fd, name, 0); err != nil {
			return fmt.Errorf("unlink in it: %w", err)
		}
		delete(d.node.Entries, name)
	}
	return d.node.SameNames(d.place)
}

func (d *movedDir) drop() {
	d.moves = 0
	closeAll(&d.fd)
}
