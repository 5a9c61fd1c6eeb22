package gitrepo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/antares-actor/antares-actor/remote"
)

// LargeFile opens a file of Git LFS where git-lfs keeps it: lfs/objects/ab/cd/abcd... of the git directory that all worktrees
// share. Nothing is downloaded: `git lfs fetch` does that. The configuration lfs.storage is not looked at.
func (r *Repo) LargeFile(ctx context.Context, sum [32]byte, size int64) (remote.Blob, error) {
	if err := ctx.Err(); err != nil {
		return remote.Blob{}, fmt.Errorf("gitrepo: large file: %w", err)
	}
	r.requests.Add(1)
	oid := hex.EncodeToString(sum[:])
	path := filepath.Join(commonDir(r.gitDir), "lfs", "objects", oid[:2], oid[2:4], oid)
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // the repository may be another user's, who may have a pipe there
	if errors.Is(err, fs.ErrNotExist) {
		return remote.Blob{}, fmt.Errorf("gitrepo: large file %s: %w: run `git lfs fetch --all` in %s", oid, remote.ErrNotFound, r.path)
	}
	if err != nil {
		return remote.Blob{}, fmt.Errorf("gitrepo: large file: %w: %w", remote.ErrUnavailable, err)
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() != size) {
		err = fmt.Errorf("%w: it is no file of the %d bytes that the pointer says", remote.ErrMismatch, size)
	}
	if err != nil {
		return remote.Blob{}, fmt.Errorf("gitrepo: large file %s: %w", oid, errors.Join(err, f.Close()))
	}
	return remote.Blob{ReadCloser: &largeFile{file: f, ctx: ctx, repo: r}, Size: size}, nil
}

// largeFile is an open large file, whose reads end with its context.
type largeFile struct {
	file *os.File
	ctx  context.Context
	repo *Repo
}

func (f *largeFile) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, fmt.Errorf("gitrepo: large file: %w", err)
	}
	n, err := f.file.Read(p)
	f.repo.bytes.Add(uint64(n))
	return n, err
}

func (f *largeFile) Close() error { return f.file.Close() }
