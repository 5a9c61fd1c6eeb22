package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// coldTree is a generated repository, with what the plain client is told about it.
type coldTree struct {
	name  string
	dir   string
	head  string
	old   string   // of "moved": the commit before the head
	files []string // object ids, in the tree's order; only where files are read
	bytes int64    // of all files
	dirs  []string // paths, the root as ""
}

// largeTrees are those with a file that is too large for a copy of it a round.
func largeTrees() []string { return []string{"large", "quarter"} }

// importer writes a stream for git fast-import: no file of the tree is ever on disk.
type importer struct {
	w    *bufio.Writer
	rand *rand.ChaCha8
}

func (i *importer) begin(message string) {
	fmt.Fprintf(i.w, "commit refs/heads/main\ncommitter bench <bench@localhost> 1700000000 +0000\ndata %d\n%s\n", len(message), message)
}

// file writes a file of random bytes.
func (i *importer) file(path string, size int64) {
	fmt.Fprintf(i.w, "M 100644 inline %s\ndata %d\n", path, size)
	_, _ = io.CopyN(i.w, i.rand, size) // an error of the pipe is Flush's, too
	_ = i.w.WriteByte('\n')
}

// coldTrees generates the repositories that the cases need.
func (o *coldOptions) coldTrees(ctx context.Context, scratch string) (map[string]*coldTree, error) {
	size := o.size()
	fill := map[string]func(*importer){
		"tar":     func(i *importer) { i.begin("tar"); i.spread(size) },
		"small":   func(i *importer) { i.begin("small"); i.small(size) },
		"large":   func(i *importer) { i.begin("large"); i.file("one.bin", int64(size.LargeMiB)<<20) },
		"quarter": func(i *importer) { i.begin("quarter"); i.file("one.bin", int64(size.LargeMiB)<<18) },
		"wide":    func(i *importer) { i.begin("wide"); i.wide(size) },
		"moved": func(i *importer) {
			i.begin("old")
			i.spread(size)
			i.begin("head: each directory has changed")
			i.eachDir(size.Groups, size.Dirs, func(dir string) { i.file(dir+"f00", 100) })
		},
	}
	trees := make(map[string]*coldTree)
	for _, c := range o.chosenCases() {
		for _, name := range c.trees {
			if trees[name] != nil {
				continue
			}
			progress("repository: %s", name)
			t := &coldTree{name: name, dir: filepath.Join(scratch, "origin", name+".git")}
			if err := t.make(ctx, fill[name]); err != nil {
				return nil, fmt.Errorf("repository %s: %w", name, err)
			}
			trees[name] = t
		}
	}
	return trees, nil
}

func (i *importer) eachDir(groups, dirs int, do func(dir string)) {
	for g := range groups {
		group := fmt.Sprintf("group%02d/", g)
		do(group)
		for d := range dirs {
			do(fmt.Sprintf("%spart%02d/", group, d))
		}
	}
}

func (i *importer) spread(s coldSize) {
	r := rand.New(rand.NewPCG(1, 2))
	i.eachDir(s.Groups, s.Dirs, func(dir string) {
		for f := range s.Files {
			i.file(fmt.Sprintf("%sf%02d", dir, f), 1+r.Int64N(int64(s.Bytes)))
		}
	})
}

func (i *importer) small(s coldSize) {
	for d := range s.SmallDirs {
		for f := range s.Small {
			i.file(fmt.Sprintf("dir%02d/f%03d", d, f), 4<<10)
		}
	}
	i.file("README", 100)
}

func (i *importer) wide(s coldSize) {
	i.eachDir(s.WideGroups, s.Wide, func(dir string) {
		for f := range s.WideFiles {
			i.file(fmt.Sprintf("%sf%02d", dir, f), 16)
		}
	})
}

// make runs fast-import, and reads back what the plain client needs to know.
func (t *coldTree) make(ctx context.Context, fill func(*importer)) error {
	git := func(args ...string) (string, error) {
		return command(ctx, "", gitEnv(), append([]string{"git", "-C", t.dir}, args...)...)
	}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	if _, err := git("init", "-q", "--bare", "-b", "main"); err != nil {
		return err
	}
	if err := t.load(ctx, fill); err != nil {
		return err
	}
	commits, err := git("rev-list", "main")
	if err != nil {
		return err
	}
	ids := strings.Fields(commits)
	t.head, t.old = ids[0], ids[len(ids)-1]
	listing, err := git("ls-tree", "-r", "-t", "-l", t.old)
	if err != nil {
		return err
	}
	t.dirs = []string{""}
	for line := range strings.Lines(listing) {
		var mode, kind, id, size, path string
		if _, err := fmt.Sscan(line, &mode, &kind, &id, &size, &path); err != nil {
			return fmt.Errorf("git ls-tree: %q: %w", line, err)
		}
		if kind == "tree" {
			t.dirs = append(t.dirs, path)
			continue
		}
		var n int64
		if _, err := fmt.Sscan(size, &n); err != nil {
			return fmt.Errorf("git ls-tree: %q: %w", line, err)
		}
		t.files, t.bytes = append(t.files, id), t.bytes+n
	}
	return nil
}

func (t *coldTree) load(ctx context.Context, fill func(*importer)) error {
	// Random bytes cannot be compressed: trying to would only take time.
	cmd := exec.CommandContext(ctx, "git", "-C", t.dir, "-c", "core.compression=0", "-c", "pack.compression=0", "fast-import", "--quiet")
	cmd.Env, cmd.Stderr = append(os.Environ(), gitEnv()...), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	i := &importer{w: bufio.NewWriterSize(in, 1<<20), rand: rand.NewChaCha8([32]byte{7})}
	fill(i)
	err = i.w.Flush()
	if closeErr := in.Close(); err == nil {
		err = closeErr
	}
	if waitErr := cmd.Wait(); waitErr != nil {
		return fmt.Errorf("git fast-import: %w", waitErr)
	}
	return err
}

// blobPaths are the URLs' paths of all files.
func (t *coldTree) blobPaths() []string {
	out := make([]string, len(t.files))
	for i, id := range t.files {
		out[i] = blobRoute + id
	}
	return out
}

// treePaths are those of all directories, at the head.
func (t *coldTree) treePaths() []string {
	out := make([]string, len(t.dirs))
	for i, dir := range t.dirs {
		out[i] = rawTreeRoute + "?path=/" + dir
	}
	return out
}

// oldPaths are those of all directories at the commit before the head, which another route has.
func (t *coldTree) oldPaths() []string {
	out := make([]string, len(t.dirs))
	for i, dir := range t.dirs {
		out[i] = listingRoute + "?path=/" + dir + "&refs=" + t.old
	}
	return out
}
