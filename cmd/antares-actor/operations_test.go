package main_test

import (
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// op is one step of a random sequence. Each kind uses what it needs of the fields.
type op struct {
	Kind string
	A, B string // paths
	N, M int64  // offset and length, sizes, times
	Mode uint32
	Flag int
	Key  string // an extended attribute, a symbolic link's target
	Slot int    // of a file that is held open
	As   int    // the user who does it, as far as file systems are concerned
}

func (o op) String() string {
	return fmt.Sprintf("%s %s %s n=%d m=%d mode=%o flag=%d key=%s slot=%d as=%d", o.Kind, short(o.A), short(o.B), o.N, o.M, o.Mode, o.Flag, o.Key, o.Slot, o.As)
}

func short(path string) string {
	if len(path) > 40 {
		return fmt.Sprintf("<%d bytes>", len(path))
	}
	return path
}

// kinds are the operations by how often they come.
var kinds = weighted(map[string]int{
	"create": 8, "write": 8, "append": 5, "replace": 6, "truncate": 4, "mkdir": 9, "rmdir": 4, "unlink": 5, "rename": 11,
	"symlink": 4, "link": 5, "chmod": 4, "chown": 2, "utimens": 4, "readdir": 5, "readlink": 2, "read": 6, "stat": 8,
	"setxattr": 3, "getxattr": 2, "listxattr": 2, "removexattr": 1, "mknod": 2, "tmpfile": 2, "fallocate": 2, "copyrange": 2,
	"mmap": 3, "hold": 5, "slotread": 4, "slotwrite": 4, "slotstat": 4, "slottruncate": 1, "slotclose": 2, "sync": 1,
	"mkdirs": 2, "removeall": 2, "fleeting": 2, "nofollow": 1, "clone": 1, "access": 1, "holdtmp": 1, "slotlink": 2,
	"slotattr": 2, "slotmmap": 1, "slotfallocate": 1, "slotat": 2, "slotreaddir": 1,
})

func weighted(weights map[string]int) []string {
	var all []string
	for kind, n := range weights {
		all = append(all, slices.Repeat([]string{kind}, n)...)
	}
	slices.Sort(all) // a map's order is random
	return all
}

const slots = 4

// makers are the operations that want a path that does not exist.
var makers = []string{"create", "mkdir", "mkdirs", "symlink", "mknod", "tmpfile", "fleeting"}

// randomOp draws an operation. Most of its paths are among those that exist, or new ones in the directories that do, which
// the caller lists: drawn blindly, four operations in five fail, and the tree withers.
func randomOp(r *rand.Rand, existing, dirs []string) op {
	o := op{
		Kind: pick(r, kinds...), A: randomPath(r), B: randomPath(r), N: r.Int64N(9000), M: r.Int64N(5000),
		Mode: pick[uint32](r, 0o644, 0o600, 0o755, 0o444, 0o4755, 0o2755, 0o1777, 0), Flag: r.IntN(6),
		Key: pick(r, "user.a", "user.b", "user.long", "trusted.t", "trusted.overlay.o", "security.s"), Slot: r.IntN(slots),
	}
	if r.IntN(8) == 0 && o.Kind != "removeall" { // how far one gets depends on the order of names
		o.As = 1 + r.IntN(2)
	}
	if r.IntN(4) > 0 {
		o.A = pick(r, existing...)
		if slices.Contains(makers, o.Kind) {
			o.A = randomChild(r, dirs)
		}
	}
	switch r.IntN(3) {
	case 0:
		o.B = randomChild(r, dirs)
	case 1:
		o.B = pick(r, existing...)
	}
	if o.Kind == "symlink" {
		o.Key = pick(r, "a", "b/c", "../a", "nowhere", "d", strings.Repeat("long/", 30)+"end")
	}
	return o
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomChild is a path in a directory that exists.
func randomChild(r *rand.Rand, dirs []string) string {
	return path.Join(pick(r, dirs...), randomName(r))
}

func randomName(r *rand.Rand) string { return pick(r, "a", "b", "c", "d", "e") }

// randomPath is one of few, so that operations meet each other.
func randomPath(r *rand.Rand) string {
	if r.IntN(200) == 0 {
		return pick(r, strings.Repeat("n", 255), strings.Repeat("n", 256), "a/"+strings.Repeat("n", 300), ".", "a/..")
	}
	depth := 1 + r.IntN(3)
	names := make([]string, depth)
	for i := range names {
		names[i] = randomName(r)
	}
	return strings.Join(names, "/")
}

// initialTree is what the repository has below top before a seed's operations, by path. Values that begin with "->" are
// links, those that begin with "#!" executable.
func initialTree(seed uint64, top string) map[string]string {
	r := rand.New(rand.NewPCG(seed, 1))
	files := map[string]string{top + "/keep": "so that the directory exists\n"}
	taken := make(map[string]bool) // paths that are directories
	for range 60 {
		path := top + "/" + randomPath(r)
		if strings.Contains(path, ".") || len(path) > 200 || taken[path] || underFile(files, path) {
			continue
		}
		switch r.IntN(9) {
		case 0:
			files[path] = "->" + pick(r, "a", "b/c", "../a", "nowhere")
		case 1:
			files[path] = "#!/bin/sh\nexit 0\n"
		default:
			files[path] = strings.Repeat("line of "+path+"\n", r.IntN(400))
		}
		for dir := path; strings.Contains(dir, "/"); {
			dir = dir[:strings.LastIndexByte(dir, '/')]
			taken[dir] = true
		}
	}
	return files
}

func underFile(files map[string]string, path string) bool {
	for i, c := range path {
		if c == '/' {
			if _, ok := files[path[:i]]; ok {
				return true
			}
		}
	}
	return false
}

// old is a time that lies before every "now": the repository's commits and the times that utimens sets.
const old = 1_750_000_000

// errname is an error as both sides print it.
func errname(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := err.(unix.Errno); ok { //nolint:errorlint // system calls return it bare
		return unix.ErrnoName(e)
	}
	return err.Error()
}
