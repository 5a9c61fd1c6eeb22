package changelist_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/antares-actor/antares-actor/internal/changelist"
	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
)

// TestGitsDifferenceGivesGitsTree: what git says that changed between two commits of a random history, applied to the first
// one, gives the tree of the second one, id for id. So with renames found or not, with rewritten files broken up (which finds
// swaps and chains), and for a directory alone.
func TestGitsDifferenceGivesGitsTree(t *testing.T) {
	const commits = 24
	seen := make(map[string]int)
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			h := newHistory(t, seed, commits, seen)
			for range 60 {
				from := h.rand.IntN(commits)
				to := min(max(0, from+h.rand.IntN(9)-4), commits-1)
				h.check(t, "", from, to, "--no-renames")
				h.check(t, "", from, to, "-M")
				h.check(t, "", from, to, "-M20%", "-B20%/20%")
				h.check(t, "n0", from, to, "-M")
			}
		})
	}
	for what, want := range map[string]int{"A": 100, "M": 100, "D": 100, "R": 100, "chained": 5} {
		if seen[what] < want {
			t.Errorf("only %d times %s: the histories show too little", seen[what], what)
		}
	}
}

// history is a repository with random commits.
type history struct {
	dir     string
	rand    *rand.Rand
	commits []string
	origin  *gitrepo.Repo
	seen    map[string]int // how often git said what; "chained" is a rename to a path that another rename leaves
}

func (h *history) git(t *testing.T, in string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = h.dir, strings.NewReader(in)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + h.dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %q: %v: %s", args, err, stderr.String())
	}
	return string(out)
}

func newHistory(t *testing.T, seed uint64, commits int, seen map[string]int) *history {
	t.Helper()
	h := &history{dir: t.TempDir(), rand: rand.New(rand.NewPCG(seed, 5)), seen: seen}
	h.git(t, "", "init", "-q", "--bare", ".")
	var stream strings.Builder
	fs := make(map[string]string)
	for i := range commits {
		h.evolve(fs)
		fmt.Fprintf(&stream, "commit refs/heads/main\nmark :%d\ncommitter T <t@example.org> %d +0000\ndata 0\ndeleteall\n", i+1, 1_700_000_000+i)
		for _, path := range slices.Sorted(maps.Keys(fs)) {
			if kind(path) == object.ModeGitlink {
				fmt.Fprintf(&stream, "M 160000 %s %s\n", blob(fs[path]), path)
				continue
			}
			fmt.Fprintf(&stream, "M %06o inline %s\ndata %d\n%s\n", uint32(kind(path)), path, len(fs[path]), fs[path])
		}
	}
	h.git(t, stream.String(), "fast-import", "--quiet")
	h.commits = strings.Fields(h.git(t, "", "rev-list", "--reverse", "main"))
	var err error
	if h.origin, err = gitrepo.Open(t.Context(), h.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.origin.Close() })
	return h
}

// kind decides a path's mode once and for all, so that a change without modes can say what happens.
func kind(path string) object.Mode {
	switch sum := blob(path); sum[0] % 8 {
	case 0, 1:
		return object.ModeExec
	case 2:
		return object.ModeSymlink
	case 3:
		return object.ModeGitlink
	default:
		return object.ModeFile
	}
}

// evolve makes some random changes: few names, so that files and directories take each other's places.
func (h *history) evolve(fs map[string]string) {
	for range 1 + h.rand.IntN(6) {
		old := slices.Sorted(maps.Keys(fs))
		path := h.path()
		switch op := h.rand.IntN(10); {
		case op < 4 || len(old) == 0:
			put(fs, path, h.content(path))
		case op < 5:
			delete(fs, old[h.rand.IntN(len(old))])
		case op < 7: // a small change
			path = old[h.rand.IntN(len(old))]
			fs[path] += strconv.Itoa(h.rand.Int())
		default: // a rename, perhaps changing places
			from := old[h.rand.IntN(len(old))]
			for kind(from) != kind(path) {
				path = h.path()
			}
			there, swap := fs[path]
			text := fs[from]
			delete(fs, from)
			put(fs, path, text)
			if _, gone := fs[from]; !gone && swap {
				put(fs, from, there)
			}
		}
	}
	put(fs, "n0/stays/x", "the directory n0 is always there")
}

func (h *history) path() string {
	parts := make([]string, 1+h.rand.IntN(3))
	for i := range parts {
		parts[i] = "n" + strconv.Itoa(h.rand.IntN(5))
	}
	return strings.Join(parts, "/")
}

// content is something new that tells the mode, long enough for git to see what is like it.
func (h *history) content(path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%o\n", kind(path))
	for range 30 { // git breaks no file of less than 400 bytes
		fmt.Fprintln(&b, h.rand.Int())
	}
	return b.String()
}

// put takes away what stands in the way of a file.
func put(fs map[string]string, path, text string) {
	for other := range fs {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(path, other+"/") {
			delete(fs, other)
		}
	}
	fs[path] = text
}

// Tree implements changelist.Trees.
func (h *history) Tree(ctx context.Context, path string, id object.ID) ([]byte, error) {
	tree, err := h.origin.Tree(ctx, remote.TreeRef{Path: path, ID: id})
	return tree.Payload, err
}

// check applies git's difference of two commits below a directory, and compares roots.
func (h *history) check(t *testing.T, at string, from, to int, how ...string) {
	t.Helper()
	a, b := h.commits[from]+":"+at, h.commits[to]+":"+at
	changes, modeOf := h.diff(t, append(how, a, b)...)
	base := h.id(t, h.commits[from]+":")
	r, err := changelist.Apply(t.Context(), h, base, changes, at, modeOf, noTexts)
	if err != nil {
		t.Fatalf("%s to %s %q: %v", a, b, how, err)
	}
	if a == b && len(r.Trees) > 0 {
		t.Errorf("%s: no difference makes trees", a)
	}
	got, want := r.Root, h.id(t, b)
	if at != "" {
		got = subtree(t, r, at)
		if got.IsZero() { // not changed
			got = h.id(t, a)
		}
	}
	if got != want {
		t.Fatalf("%s to %s %q: tree %s, want %s\n%+v", a, b, how, got, want, changes)
	}
}

func subtree(t *testing.T, r changelist.Result, name string) object.ID {
	t.Helper()
	entries, err := object.ParseTree(r.Trees[r.Root])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name == name {
			return e.ID
		}
	}
	return object.ID{}
}

func (h *history) id(t *testing.T, name string) object.ID {
	t.Helper()
	id, err := object.Parse(strings.TrimSpace(h.git(t, "", "rev-parse", name)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// diff returns what git finds, as a changelist, and a ModeOf that knows the new files' modes and nothing else.
func (h *history) diff(t *testing.T, args ...string) ([]remote.Change, changelist.ModeOf) {
	t.Helper()
	out := h.git(t, "", append([]string{"diff-tree", "-r", "-z", "--raw", "--no-abbrev"}, args...)...)
	var changes []remote.Change
	known := make(map[object.ID]object.Mode)
	olds := make(map[string]bool)
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for len(fields) > 1 { // ":MODE MODE ID ID STATUS", path, and of a rename the new path
		var was, now object.Mode
		var old, id, status string
		if _, err := fmt.Sscanf(fields[0], ":%o %o %s %s %s", &was, &now, &old, &id, &status); err != nil {
			t.Fatalf("%q: %v", fields[0], err)
		}
		status = status[:1]
		h.seen[status]++
		c := remote.Change{Path: fields[1]}
		c.ID, _ = object.Parse(map[bool]string{true: old, false: id}[status == "D"])
		used := 2
		switch status {
		case "A":
			c.Action, known[c.ID] = remote.New, now
		case "D":
			c.Action = remote.Deleted
		case "M":
			c.Action = remote.Modified
		case "R":
			c.Action, c.OldPath, c.Path, used = remote.Renamed, fields[1], fields[2], 3
			olds[c.OldPath] = true
		case "C": // of a file that is broken up; to a changelist it is a new one
			c.Action, c.Path, known[c.ID], used = remote.New, fields[2], now, 3
		default:
			t.Fatalf("git says %q", fields[:2])
		}
		if fields = fields[used:]; status == "R" && was != now { // a changelist cannot say this as a rename
			changes = append(changes, remote.Change{Action: remote.New, Path: c.Path, ID: c.ID})
			known[c.ID] = now
			c = remote.Change{Action: remote.Deleted, Path: c.OldPath, ID: c.ID}
		}
		changes = append(changes, c)
	}
	for _, c := range changes {
		if c.Action == remote.Renamed && olds[c.Path] {
			h.seen["chained"]++
		}
	}
	changes = tidy(changes)
	h.rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	var mu sync.Mutex
	return changes, func(_ context.Context, id object.ID) (object.Mode, error) {
		mu.Lock()
		defer mu.Unlock()
		if mode, ok := known[id]; ok {
			return mode, nil
		}
		return 0, fmt.Errorf("asked for the mode of %s, which is not new", id)
	}
}

// tidy drops the deletion of a path where something else is put: it comes of a rename that was taken apart.
func tidy(changes []remote.Change) []remote.Change {
	puts := make(map[string]bool)
	for _, c := range changes {
		if c.Action != remote.Deleted {
			puts[c.Path] = true
		}
	}
	return slices.DeleteFunc(changes, func(c remote.Change) bool { return c.Action == remote.Deleted && puts[c.Path] })
}
