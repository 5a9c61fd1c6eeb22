package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
)

// ErrBadPatch reports a patch that git cannot apply.
var ErrBadPatch = errors.New("the patch does not apply")

// Apply applies a patch, as git diff or git format-patch write it, to a commit or tree, and calls use with the tree that
// this makes. The repository is not touched: patched, which is open for the time of the call only, reads all that this one
// has and what the patch made.
func (r *Repo) Apply(ctx context.Context, to object.ID, patch []byte, use func(patched *Repo, tree object.ID) error) (err error) {
	dir, err := os.MkdirTemp("", "antares-patch-")
	if err != nil {
		return fmt.Errorf("gitrepo: apply a patch: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	scratch := &Repo{path: dir, gitDir: dir, git: r.git, env: environ(dir)}
	scratch.pool = newPool(scratch.git, scratch.env)
	defer scratch.Close()

	if _, err := scratch.run(ctx, "init", "-q", "--bare", "--template="); err != nil {
		return err
	}
	alternates := filepath.Join(dir, "objects", "info", "alternates")
	if err := os.MkdirAll(filepath.Dir(alternates), 0o700); err != nil {
		return fmt.Errorf("gitrepo: apply a patch: %w", err)
	}
	if err := os.WriteFile(alternates, []byte(filepath.Join(r.CommonDir(), "objects")+"\n"), 0o600); err != nil {
		return fmt.Errorf("gitrepo: apply a patch: %w", err)
	}
	if _, err := scratch.run(ctx, "read-tree", to.String()); err != nil {
		return err
	}
	if err := scratch.applyToIndex(ctx, patch); err != nil {
		return err
	}
	out, err := scratch.run(ctx, "write-tree")
	if err != nil {
		return err
	}
	tree, err := object.Parse(strings.TrimSpace(string(out)))
	if err != nil {
		return fmt.Errorf("gitrepo: git write-tree: %w", err)
	}
	return use(scratch, tree)
}

// applyToIndex applies a patch to what will be the next tree, without any file of a work tree.
func (r *Repo) applyToIndex(ctx context.Context, patch []byte) error {
	cmd := exec.CommandContext(ctx, r.git, "apply", "--cached", "--whitespace=nowarn", "-")
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.WaitDelay = r.gitDir, r.env, bytes.NewReader(patch), grandchildren
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("gitrepo: git apply: %w", ctx.Err())
	}
	if err != nil {
		said := strings.Join(strings.Fields(string(out)), " ")
		return fmt.Errorf("gitrepo: %w: %s", ErrBadPatch, said)
	}
	return nil
}
