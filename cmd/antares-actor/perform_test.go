package main_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func init() {
	roles["improvise"] = improvise
	roles["replay"] = replay
}

// world is where a sequence is performed: the working directory, and the files that are held open.
type world struct {
	held  [slots]int // descriptors, -1
	index int
	out   *bufio.Writer
}

// improvise draws operations by a seed, performs them in the working directory, which is the plain one, prints how each
// ended, and writes them to a script. Operations of the kinds WITHOUT are drawn again.
func improvise(args []string) error {
	if len(args) < 4 || len(args) > 5 {
		return errors.New("improvise SEED PART NUMBER SCRIPT [WITHOUT]")
	}
	seed, _ := strconv.ParseUint(args[0], 10, 64)
	part, _ := strconv.Atoi(args[1])
	number, _ := strconv.Atoi(args[2])
	r := rand.New(rand.NewPCG(seed, uint64(part)))
	script := make([]op, number)
	w := newWorld()
	for i := range script {
		for script[i] = drawOp(r); len(args) == 5 && strings.Contains(args[4], script[i].Kind); script[i] = drawOp(r) {
		}
		w.perform(i, script[i])
	}
	b, err := json.Marshal(script)
	return errors.Join(err, os.WriteFile(args[3], b, 0o644), w.out.Flush())
}

// replay performs a script in the working directory, which is a mount, and prints how each operation ended.
func replay(args []string) error {
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var script []op
	if err := json.Unmarshal(b, &script); err != nil {
		return err
	}
	w := newWorld()
	for i, o := range script {
		w.perform(i, o)
	}
	return w.out.Flush()
}

func newWorld() *world {
	runtime.LockOSThread() // which user acts is the thread's own
	unix.Umask(0o022)
	debug.SetPanicOnFault(true)
	return &world{held: [slots]int{-1, -1, -1, -1}, out: bufio.NewWriter(os.Stdout)}
}

func (w *world) perform(i int, o op) {
	w.index = i
	if o.As != 0 {
		_ = errors.Join(unix.Setfsgid(o.As), unix.Setfsuid(o.As))
	}
	said, err := performers[o.Kind](w, o)
	if o.As != 0 {
		_ = errors.Join(unix.Setfsuid(0), unix.Setfsgid(0))
	}
	fmt.Fprintf(w.out, "%d %v = %s %s\n", i, o, errname(err), said)
}

// drawOp draws an operation on what there is at and below the working directory.
func drawOp(r *rand.Rand) op {
	var paths, dirs []string
	_ = filepath.WalkDir(".", func(path string, e fs.DirEntry, _ error) error {
		paths = append(paths, path)
		if e.IsDir() && strings.Count(path, "/") < deepest {
			dirs = append(dirs, path)
		}
		return nil
	})
	return randomOp(r, paths, dirs)
}

// deepest is how far below directories are made on purpose.
const deepest = 5

const nonblock = unix.O_NONBLOCK | unix.O_CLOEXEC

// performers do one operation each and say what it showed.
var performers = map[string]func(*world, op) (string, error){
	"create": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, o.Mode, nil)
	},
	"write": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_WRONLY, 0, func(fd int) (string, error) { return w.write(fd, o) })
	},
	"append": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_WRONLY|unix.O_APPEND, 0, func(fd int) (string, error) { return count(unix.Write(fd, w.data(o.M))) })
	},
	"replace": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, 0o666, func(fd int) (string, error) { return count(unix.Write(fd, w.data(o.M))) })
	},
	"read":     func(w *world, o op) (string, error) { return w.open(o.A, unix.O_RDONLY, 0, content) },
	"truncate": func(_ *world, o op) (string, error) { return "", unix.Truncate(o.A, o.N) },
	"mkdir":    func(_ *world, o op) (string, error) { return "", unix.Mkdir(o.A, o.Mode) },
	"rmdir":    func(_ *world, o op) (string, error) { return "", unix.Rmdir(o.A) },
	"unlink":   func(_ *world, o op) (string, error) { return "", unix.Unlink(o.A) },
	"rename":   (*world).rename,
	"symlink":  func(_ *world, o op) (string, error) { return "", unix.Symlink(o.Key, o.A) },
	"link":     func(_ *world, o op) (string, error) { return "", unix.Link(o.A, o.B) },
	"chmod":    func(_ *world, o op) (string, error) { return "", unix.Chmod(o.A, o.Mode) },
	"chown":    func(_ *world, o op) (string, error) { return "", unix.Lchown(o.A, int(o.N%3), int(o.M%3)) },
	"utimens": func(_ *world, o op) (string, error) {
		return "", unix.UtimesNanoAt(unix.AT_FDCWD, o.A, o.times(), unix.AT_SYMLINK_NOFOLLOW)
	},
	"readdir":  readdir,
	"readlink": func(_ *world, o op) (string, error) { return readlink(o.A) },
	"stat": func(_ *world, o op) (string, error) {
		var st unix.Stat_t
		err := unix.Lstat(o.A, &st)
		return describeStat(&st, err)
	},
	"setxattr": func(w *world, o op) (string, error) {
		return "", unix.Lsetxattr(o.A, o.Key, w.data(o.M%200), []int{0, 0, unix.XATTR_CREATE, unix.XATTR_REPLACE, 0, 0}[o.Flag])
	},
	"getxattr": func(_ *world, o op) (string, error) {
		value := make([]byte, 64<<o.Flag) // too short at times
		n, err := unix.Lgetxattr(o.A, o.Key, value)
		return sum(value[:max(n, 0)]), err
	},
	"listxattr":   listxattr,
	"removexattr": func(_ *world, o op) (string, error) { return "", unix.Lremovexattr(o.A, o.Key) },
	"mknod": func(_ *world, o op) (string, error) {
		kind := []uint32{unix.S_IFIFO, unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFCHR, unix.S_IFBLK, unix.S_IFREG}[o.Flag]
		return "", unix.Mknod(o.A, kind|o.Mode&0o777, int(unix.Mkdev(7, uint32(o.N))))
	},
	"mkdirs":    func(_ *world, o op) (string, error) { return "", bare(os.MkdirAll(o.A, 0o755)) },
	"removeall": removeAll,
	"fleeting":  (*world).fleeting,
	"nofollow": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_RDWR|unix.O_TRUNC|unix.O_NOFOLLOW, 0, content)
	},
	"clone": (*world).clone,
	"access": func(_ *world, o op) (string, error) {
		return "", unix.Faccessat2(unix.AT_FDCWD, o.A, uint32(o.Flag), unix.AT_EACCESS)
	},
	"tmpfile": func(w *world, o op) (string, error) {
		return w.open(filepath.Dir(o.A), unix.O_TMPFILE|unix.O_RDWR, o.Mode, func(fd int) (string, error) {
			if said, err := w.write(fd, o); err != nil {
				return said, err
			}
			return "", unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, o.A, unix.AT_SYMLINK_FOLLOW)
		})
	},
	"fallocate": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_WRONLY, 0, func(fd int) (string, error) { return "", unix.Fallocate(fd, o.hole(), o.N, o.M+1) })
	},
	"copyrange": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_RDONLY, 0, func(from int) (string, error) {
			return w.open(o.B, unix.O_WRONLY, 0, func(to int) (string, error) {
				in, out := o.N/4, o.M
				return count(unix.CopyFileRange(from, &in, to, &out, int(o.M), 0))
			})
		})
	},
	"mmap": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_RDWR, 0, func(fd int) (string, error) { return scribble(fd, o) })
	},
	"sync": func(w *world, o op) (string, error) {
		return w.open(o.A, unix.O_RDONLY, 0, func(fd int) (string, error) { return "", unix.Fsync(fd) })
	},
	"hold":      (*world).hold,
	"holdtmp":   (*world).hold,
	"slotclose": func(w *world, o op) (string, error) { return "", w.letGo(o.Slot) },
	"slotread":  func(w *world, o op) (string, error) { return content(w.held[o.Slot]) },
	"slotwrite": func(w *world, o op) (string, error) { return w.write(w.held[o.Slot], o) },
	"slotstat": func(w *world, o op) (string, error) {
		var st unix.Stat_t
		err := unix.Fstat(w.held[o.Slot], &st)
		return describeStat(&st, err)
	},
	"slottruncate":  func(w *world, o op) (string, error) { return "", unix.Ftruncate(w.held[o.Slot], o.N) },
	"slotlink":      (*world).slotLink,
	"slotattr":      (*world).slotAttr,
	"slotmmap":      func(w *world, o op) (string, error) { return scribble(w.held[o.Slot], o) },
	"slotfallocate": func(w *world, o op) (string, error) { return "", unix.Fallocate(w.held[o.Slot], o.hole(), o.N, o.M+1) },
	"slotat":        (*world).slotAt,
	"slotreaddir":   (*world).slotReaddir,
}

// open opens a file, never waiting for a pipe's other end, and calls use with it.
func (w *world) open(path string, flags int, mode uint32, use func(fd int) (string, error)) (string, error) {
	fd, err := unix.Open(path, flags|nonblock, mode)
	if err != nil || use == nil {
		_ = unix.Close(fd)
		return "open", err
	}
	said, err := use(fd)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	return said, err
}

// data is n bytes that no other operation writes.
func (w *world) data(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + (w.index+i)%26)
	}
	return b
}

func (w *world) write(fd int, o op) (string, error) { return count(unix.Pwrite(fd, w.data(o.M), o.N)) }

func (w *world) rename(o op) (string, error) {
	flags := []uint{0, 0, 0, 0, unix.RENAME_NOREPLACE, unix.RENAME_EXCHANGE}[o.Flag]
	return "", unix.Renameat2(unix.AT_FDCWD, o.A, unix.AT_FDCWD, o.B, flags)
}

func readdir(_ *world, o op) (string, error) {
	dir, err := os.OpenFile(o.A, unix.O_DIRECTORY, 0) // else it waits for a pipe's writer
	if err != nil {
		return "", bare(err)
	}
	defer dir.Close()
	return listed(dir)
}

// listed is what an open directory has.
func listed(dir *os.File) (string, error) {
	entries, err := dir.ReadDir(-1)
	var all []string
	for _, e := range entries {
		all = append(all, short(e.Name())+" "+e.Type().String()[:1])
	}
	slices.Sort(all)
	return strings.Join(all, ","), bare(err)
}

func readlink(path string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(path, buf)
	return string(buf[:max(n, 0)]), err
}

func listxattr(_ *world, o op) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Llistxattr(o.A, buf)
	all := strings.Split(string(buf[:max(n, 0)]), "\x00")
	slices.Sort(all)
	return strings.Join(all, ","), err
}

func content(fd int) (string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Pread(fd, buf, 0)
	return fmt.Sprintf("%d %s", n, sum(buf[:max(n, 0)])), err
}

// scribble writes through a shared mapping, within the file's size.
func scribble(fd int, o op) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Size == 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "nothing to map", err
	}
	m, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return "mmap", err
	}
	before := sum(m)
	for i := o.N % st.Size; i < min(st.Size, o.N%st.Size+o.M/10); i++ {
		m[i] = byte('A' + i%26)
	}
	after := sum(m)
	if err := unix.Munmap(m); err != nil {
		return "munmap", err
	}
	got, err := content(fd)
	return before + " " + after + " " + got, err
}

// describeStat leaves out what differs by nature: inode numbers, sizes and link counts of directories, and times that are
// now.
func describeStat(st *unix.Stat_t, err error) (string, error) {
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		text += fmt.Sprintf(" size %d links %d", st.Size, st.Nlink)
	} else if st.Nlink == 0 {
		text += " removed"
	}
	if st.Mtim.Sec < old && st.Mode&unix.S_IFMT != unix.S_IFIFO { // see testfs.Look
		text += fmt.Sprintf(" mtime %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	}
	return text, nil
}

// bare is the errno that an error of package os wraps.
func bare(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

func sum(b []byte) string { return fmt.Sprintf("%.6x", sha256.Sum256(b)) }

func count(n int, err error) (string, error) { return strconv.Itoa(n), err }
