package lower

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/upper"
)

// ErrUnusable reports a directory that cannot serve as a lower layer; its text names the directory and the remedy.
var ErrUnusable = errors.New("lower directory unusable")

// Dir is an open local directory with all that is below it. Immutable.
type Dir struct {
	path   string
	fd     int
	dev    uint64
	prefix string // of overlayfs's marks
}

// Open opens a directory whose marks are in the name space prefix ("trusted.overlay." or "user.overlay.").
func Open(path, prefix string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnusable, path, err)
	}
	fd, err := unix.Open(abs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w: give a directory that exists as dir:PATH", ErrUnusable, abs, err)
	}
	d := &Dir{path: abs, fd: fd, prefix: prefix}
	st, err := d.Stat("")
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrUnusable, abs, err)
	}
	d.dev = st.Dev
	return d, nil
}

// Close releases the directory.
func (d *Dir) Close() { _ = unix.Close(d.fd) }

// String returns the directory's path.
func (d *Dir) String() string { return d.path }

// Dev is the number of the device that the directory itself is on.
func (d *Dir) Dev() uint64 { return d.dev }

// longest is how much of a path openat2 gets at once: the kernel takes less than PATH_MAX.
const longest = unix.PathMax - 256

// openFd opens the file at path, whatever its length. The caller closes the result.
func (d *Dir) openFd(path string, flags int) (int, error) {
	at, rest := d.fd, path
	for {
		part, more := rest, ""
		if len(rest) > longest {
			cut := strings.LastIndexByte(rest[:longest], '/') // a name has 255 bytes at most
			part, more = rest[:cut], rest[cut+1:]
		}
		if part == "" {
			part = "."
		}
		how := unix.OpenHow{
			Flags:   uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC),
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		}
		if more != "" {
			how.Flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
		}
		fd, err := openat2(at, part, &how)
		if at != d.fd {
			_ = unix.Close(at)
		}
		if err != nil || more == "" {
			return fd, err
		}
		at, rest = fd, more
	}
}

func openat2(at int, path string, how *unix.OpenHow) (int, error) {
	for {
		fd, err := unix.Openat2(at, path, how)
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) { // EAGAIN: a rename somewhere raced with "..", which we have none of
			return fd, err
		}
	}
}

// with calls f with a descriptor of the inode at path itself, of which reading and writing are not possible.
func (d *Dir) with(op, path string, f func(fd int) error) error {
	fd, err := d.openFd(path, unix.O_PATH)
	if err != nil {
		return fmt.Errorf("lower: %s: %w", op, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := f(fd); err != nil {
		return fmt.Errorf("lower: %s: %w", op, err)
	}
	return nil
}

// Stat returns the attributes of the inode at path itself.
func (d *Dir) Stat(path string) (st unix.Stat_t, err error) {
	return st, d.with("stat", path, func(fd int) error { return unix.Fstat(fd, &st) })
}

// Readlink returns a symbolic link's target.
func (d *Dir) Readlink(path string) (target string, err error) {
	return target, d.with("readlink", path, func(fd int) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", buf)
		target = string(buf[:max(n, 0)])
		return err
	})
}

// Open opens a regular file for reading. The caller closes it.
func (d *Dir) Open(path string) (*os.File, error) {
	fd, err := d.openFd(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, fmt.Errorf("lower: open: %w", err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Scan lists a directory, whiteouts included, with the attributes of each entry.
func (d *Dir) Scan(path string) ([]upper.Found, error) {
	fd, err := d.openFd(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("lower: open directory: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return upper.ScanDir(fd, d.prefix, true)
}

// Xattr reads an extended attribute into dst, or with an empty dst returns its size. The overlay's own are not there.
func (d *Dir) Xattr(path, name string, dst []byte) (n int, err error) {
	name = upper.StoredXattr(d.prefix, name)
	return n, d.with("getxattr", path, func(fd int) (err error) {
		n, err = unix.Getxattr(proc(fd), name, dst)
		n = max(n, 0)
		return err
	})
}

// Xattrs returns the names of the extended attributes, without the overlay's own.
func (d *Dir) Xattrs(path string) (names []string, err error) {
	return names, d.with("listxattr", path, func(fd int) error {
		buf := make([]byte, 1<<16) // XATTR_LIST_MAX
		n, err := unix.Listxattr(proc(fd), buf)
		if err != nil {
			return err
		}
		for _, stored := range strings.Split(string(buf[:n]), "\x00") {
			if name, ok := upper.ShownXattr(d.prefix, stored); ok && name != "" {
				names = append(names, name)
			}
		}
		return nil
	})
}

// proc is a path that leads to the open inode itself, even to a symbolic link.
func proc(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Find returns what the directory dir has under a name, which may be a whiteout.
func (d *Dir) Find(dir, name string) (*upper.Found, error) {
	fd, err := d.openFd(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("lower: open directory: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	return upper.Find(fd, d.prefix, name)
}
