package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ownDir holds, in each tree, what the harness adds to the corpus: large files, a program to build, and the directory that
// workloads write in. Workloads that read "all files" leave it out.
const ownDir = "antares-bench"

// corpus is the tree under test as a git repository.
type corpus struct {
	name string // what it was made from
	repo string // the repository's work tree
}

// command runs a program and returns its output; the error has the end of what it said.
func command(ctx context.Context, dir string, env []string, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		said := strings.TrimSpace(string(out))
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv[:min(len(argv), 4)], " "), err, said[max(0, len(said)-500):])
	}
	return string(out), nil
}

// makeCorpus builds the repository below dir.
func makeCorpus(ctx context.Context, o *options, dir string) (*corpus, error) {
	c := &corpus{name: o.corpus, repo: filepath.Join(dir, "repo")}
	if err := c.fill(ctx); err != nil {
		return nil, fmt.Errorf("corpus %s: %w", o.corpus, err)
	}
	own := filepath.Join(c.repo, ownDir)
	for i := range o.rounds {
		if err := writeRandom(filepath.Join(own, largeName(i)), uint64(i), o.largeMiB()<<20); err != nil {
			return nil, fmt.Errorf("corpus: %w", err)
		}
	}
	if err := addProgram(ctx, filepath.Join(own, "program")); err != nil {
		return nil, fmt.Errorf("corpus: program to build: %w", err)
	}
	if err := c.commit(ctx); err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	return c, nil
}

// largeName is the file that the large copy-up takes in a round, below ownDir.
func largeName(round int) string { return fmt.Sprintf("large/%02d.bin", round) }

func (c *corpus) fill(ctx context.Context) error {
	if c.name == "synthetic" {
		return makeSynthetic(c.repo, 40, 15)
	}
	from, isDir := strings.CutPrefix(c.name, "dir:")
	if !isDir {
		var err error
		if from, err = downloadModule(ctx, c.name); err != nil {
			return err
		}
	}
	return copySources(from, c.repo, func(string) bool { return true })
}

// downloadModule has the go command fetch a module and returns its directory.
func downloadModule(ctx context.Context, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir() // outside any module
	out, err := cmd.Output()
	var got struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil {
		return "", fmt.Errorf("go mod download: %w", errors.Join(err, jsonErr))
	}
	if got.Error != "" || got.Dir == "" {
		return "", fmt.Errorf("go mod download: %s; without a network, use -corpus dir:PATH", got.Error)
	}
	return got.Dir, nil
}

// copySources copies regular files and directories, made writable (the module cache is not); .git is left out.
func copySources(from, to string, want func(rel string) bool) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.Name() == ".git" && rel != ".":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !d.Type().IsRegular() || !want(rel):
			return nil
		}
		return copyFile(path, filepath.Join(to, rel))
	})
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644|info.Mode().Perm()&0o111)
}

// makeSynthetic writes a tree of dirs directories with files files each, the same every time.
func makeSynthetic(to string, dirs, files int) error {
	r := rand.New(rand.NewPCG(1, 2))
	for d := range dirs {
		dir := filepath.Join(to, fmt.Sprintf("group%d", d%5), fmt.Sprintf("part%02d", d), "src")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for f := range files {
			line := fmt.Sprintf("line of file %d in directory %d\n", f, d)
			text := strings.Repeat(line, 1+r.IntN(300))
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%02d.go", f)), []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeRandom writes a file of incompressible bytes that the seed decides.
func writeRandom(path string, seed uint64, size int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 7}).Read(b)
	return os.WriteFile(path, b, 0o644)
}

// gitEnv keeps the user's git settings out, and makes the commit id a function of the tree.
func gitEnv() []string {
	return []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@localhost", "GIT_AUTHOR_DATE=2024-01-01T00:00:00Z",
		"GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@localhost", "GIT_COMMITTER_DATE=2024-01-01T00:00:00Z",
	}
}

// commit turns the tree into a packed repository with one commit.
func (c *corpus) commit(ctx context.Context) error {
	git := func(args ...string) error {
		_, err := command(ctx, c.repo, gitEnv(), append([]string{"git", "-c", "core.bigFileThreshold=1m", "-c", "gc.auto=0"}, args...)...)
		return err
	}
	if err := git("init", "-q", "-b", "main"); err != nil {
		return err
	}
	// The checkout must be the blobs byte for byte, whatever .gitattributes of the corpus say: a mount shows the blobs.
	const verbatim = "* -text -eol -ident -filter -working-tree-encoding\n"
	if err := os.WriteFile(filepath.Join(c.repo, ".git", "info", "attributes"), []byte(verbatim), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"add", "-A", "-f", "."}, {"commit", "-q", "-m", "corpus"}, {"repack", "-a", "-d", "-q"}} {
		if err := git(args...); err != nil {
			return err
		}
	}
	return nil
}

// checkout writes the committed tree below dir.
func (c *corpus) checkout(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_, err := command(ctx, c.repo, gitEnv(), "git", "checkout-index", "-a", "--prefix="+dir+"/")
	return err
}
