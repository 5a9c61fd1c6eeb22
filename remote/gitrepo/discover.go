package gitrepo

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// discover finds the git directory for a path as git does: the path's .git (a directory, or a file naming one in a
// linked worktree or submodule), the path itself when it is a bare repository, and then the same in its parents.
//
// It is done here and not by `git rev-parse` because git refuses a repository of another user there (safe.directory),
// and a mount's engine is often root over a user's repository; a directory handed over in GIT_DIR is not checked.
func discover(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("gitrepo: open %s: %w", path, err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", fmt.Errorf("gitrepo: open %s: %w: name an existing git repository", path, err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("gitrepo: open %s: it is a file: name the directory of a git repository", path)
	}
	for dir := abs; ; dir = filepath.Dir(dir) {
		if d, ok := gitDirAt(dir); ok {
			return d, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("gitrepo: open %s: no git repository here or above: name one, or run `git init` there", path)
		}
	}
}

// gitDirAt returns the git directory that dir has or is.
func gitDirAt(dir string) (string, bool) {
	dot := filepath.Join(dir, ".git")
	if isGitDir(dot) {
		return dot, true
	}
	if text, err := os.ReadFile(dot); err == nil {
		if target, ok := bytes.CutPrefix(text, []byte("gitdir: ")); ok {
			t := string(bytes.TrimRight(target, "\r\n"))
			if !filepath.IsAbs(t) {
				t = filepath.Join(dir, t)
			}
			return t, isGitDir(t)
		}
	}
	return dir, isGitDir(dir)
}

// isGitDir applies git's own test: HEAD, and objects and refs here or in the common directory of a linked worktree.
func isGitDir(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err != nil {
		return false
	}
	common := commonDir(dir)
	for _, sub := range []string{"objects", "refs"} {
		if info, err := os.Stat(filepath.Join(common, sub)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// commonDir returns the directory that a linked worktree shares with the others, else the git directory itself.
func commonDir(gitDir string) string {
	text, err := os.ReadFile(filepath.Join(gitDir, "commondir"))
	if err != nil {
		return gitDir
	}
	common := string(bytes.TrimRight(text, "\r\n"))
	if !filepath.IsAbs(common) {
		common = filepath.Join(gitDir, common)
	}
	return common
}
