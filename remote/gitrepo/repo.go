package gitrepo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Repo is an open repository.
type Repo struct {
	path   string // as it was named, made absolute; immutable
	gitDir string // immutable
	git    string // the git program; immutable
	env    []string
	pool   *pool

	requests atomic.Uint64
	bytes    atomic.Uint64
}

var (
	_ remote.Origin = (*Repo)(nil)
	_ remote.Sizer  = (*Repo)(nil)

	_ remote.BatchSizer = (*Repo)(nil)
	_ remote.LargeFiles = (*Repo)(nil)
)

// Open opens the git repository that path is in. It starts no process: the first request does.
func Open(ctx context.Context, path string) (*Repo, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("gitrepo: open %s: %w", path, err)
	}
	gitDir, err := discover(path)
	if err != nil {
		return nil, err
	}
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("gitrepo: open %s: %w: install git 2.36 or later", path, err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("gitrepo: open %s: %w", path, err)
	}
	env := environ(gitDir)
	return &Repo{path: abs, gitDir: gitDir, git: git, env: env, pool: newPool(git, env)}, nil
}

// Pin resolves a revision as git does: an id, a branch, a tag, "HEAD~3"; "" is HEAD.
func (r *Repo) Pin(ctx context.Context, rev string) (remote.Commit, error) {
	name := rev
	switch {
	case rev == "":
		name = "HEAD"
	case !isHexID(rev):
		id, err := r.resolve(ctx, rev)
		if err != nil {
			return remote.Commit{}, err
		}
		name = id.String()
	}
	id, payload, err := r.contents(ctx, name+"^{commit}", object.Commit)
	if errors.Is(err, remote.ErrNotFound) {
		if rev == "" {
			return remote.Commit{}, fmt.Errorf("gitrepo: %s: %w: HEAD names no commit: commit something first", r.path, remote.ErrUnknownRev)
		}
		return remote.Commit{}, fmt.Errorf("gitrepo: %s: %w: %q: name a commit, tag or branch of it", r.path, remote.ErrUnknownRev, rev)
	}
	if err != nil {
		return remote.Commit{}, err
	}
	return parseCommit(id, payload)
}

// resolve asks git for the commit that a name stands for. A process of its own does it, because some names
// ("HEAD@{upstream}") make git exit instead of answering.
func (r *Repo) resolve(ctx context.Context, rev string) (object.ID, error) {
	if strings.ContainsRune(rev, 0) || len(rev) > 4096 {
		return object.ID{}, fmt.Errorf("gitrepo: %s: %w: %.80q: name a commit, tag or branch of it", r.path, remote.ErrUnknownRev, rev)
	}
	out, err := r.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev+"^{commit}")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return object.ID{}, fmt.Errorf("gitrepo: %s: %w: %q: name a commit, tag or branch of it", r.path, remote.ErrUnknownRev, rev)
	}
	if err != nil {
		return object.ID{}, err
	}
	id, err := object.Parse(strings.TrimSpace(string(out)))
	if err != nil { // "^v1" and the like name no commit but a set of them
		return object.ID{}, fmt.Errorf("gitrepo: %s: %w: %q: name a commit, tag or branch of it", r.path, remote.ErrUnknownRev, rev)
	}
	return id, nil
}

// run runs one git command over the repository to its end and returns what it wrote.
func (r *Repo) run(ctx context.Context, args ...string) ([]byte, error) {
	r.requests.Add(1)
	cmd := exec.CommandContext(ctx, r.git, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = "/", r.env, grandchildren
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it has ended, and well
	}
	r.bytes.Add(uint64(len(out)))
	if ctx.Err() != nil {
		return nil, fmt.Errorf("gitrepo: git %s: %w", args[0], ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("gitrepo: git %s: %w", args[0], err)
	}
	return out, nil
}

// CommonDir returns the directory that has what all of the repository's work trees share: the objects, and what other
// programs keep with them.
func (r *Repo) CommonDir() string { return commonDir(r.gitDir) }

// String names the repository as the mount flag --origin does.
func (r *Repo) String() string { return "git:" + r.path }

// Counts counts a request per object, and the bytes of their contents.
func (r *Repo) Counts() remote.Counts {
	return remote.Counts{Requests: r.requests.Load(), Bytes: r.bytes.Load()}
}

// Close ends all processes and waits for them. Open blobs fail from then on.
func (r *Repo) Close() error {
	r.pool.close()
	return nil
}

func isHexID(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == hex.EncodedLen(len(object.ID{}))
}
