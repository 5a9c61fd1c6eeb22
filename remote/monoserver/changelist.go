package monoserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
)

// ErrBadChangelist reports a Changelist that says too little, or too much.
var ErrBadChangelist = errors.New("bad changelist")

// Changelist says where a changelist's changes come from.
type Changelist struct {
	Link string `json:"link"` // its name; letters, digits, "-", "_" and "."
	// Path is the directory that the changelist belongs to, slash separated; "" is the repository's root. Paths in the
	// answer are relative to it, and changes elsewhere are none of this changelist's.
	Path string `json:"path,omitempty"`
	// Rev has the changes as a commit, or a range "BASE..REV" of two; a commit is compared with its first parent.
	Rev string `json:"rev,omitempty"`
	// Patch has them as a patch to the commit Base, in place of Rev. Its paths start at the repository's root.
	Patch string `json:"patch,omitempty"`
	Base  string `json:"base,omitempty"` // "" is the head
}

// changedFile is Mega's ClFilesRes.
type changedFile struct {
	Path       string        `json:"path"`
	SHA        string        `json:"sha"`
	Action     remote.Action `json:"action"`
	OldPath    string        `json:"old_path,omitempty"`
	Similarity *int          `json:"similarity,omitempty"` // of renames only
}

// changes is a changelist that is served. It is immutable.
type changes struct {
	files []gitrepo.Difference
	blobs map[object.ID][]byte // those that the repository does not have
}

// AddChangelist serves a changelist; one with the same link is replaced. What it changes is settled now: neither the head
// nor a branch that moves later changes it.
func (s *Server) AddChangelist(ctx context.Context, cl Changelist) error {
	if strings.Trim(cl.Link, linkBytes) != "" || cl.Link == "" {
		return fmt.Errorf("monoserver: %w: the link %q: use letters, digits, '-', '_' and '.' only", ErrBadChangelist, cl.Link)
	}
	if (cl.Rev == "") == (cl.Patch == "") {
		return fmt.Errorf("monoserver: %w: %s: give a revision or a patch", ErrBadChangelist, cl.Link)
	}
	load := s.fromRevisions
	if cl.Patch != "" {
		load = s.fromPatch
	}
	loaded, err := load(ctx, cl)
	if err != nil {
		return fmt.Errorf("monoserver: changelist %s: %w", cl.Link, err)
	}
	s.changelists.Store(cl.Link, loaded)
	return nil
}

const linkBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// RemoveChangelist stops serving a changelist, and says whether there was one.
func (s *Server) RemoveChangelist(link string) bool {
	_, had := s.changelists.LoadAndDelete(link)
	return had
}

// fromRevisions compares two commits. The objects are the repository's own.
func (s *Server) fromRevisions(ctx context.Context, cl Changelist) (*changes, error) {
	base, rev, ranged := strings.Cut(cl.Rev, "..")
	if !ranged {
		rev = cl.Rev
	}
	to, err := s.repo.Pin(ctx, rev)
	if err != nil {
		return nil, err
	}
	from := object.EmptyTree
	if ranged {
		c, err := s.repo.Pin(ctx, base)
		if err != nil {
			return nil, err
		}
		from = c.Tree
	} else if parent, err := s.repo.Pin(ctx, to.ID.String()+"^"); err == nil {
		from = parent.Tree
	} else if !errors.Is(err, remote.ErrUnknownRev) { // else it is the first commit of all
		return nil, err
	}
	files, err := diffBelow(ctx, s.repo, cl.Path, from, to.Tree)
	return &changes{files: files}, err
}

// fromPatch applies a patch and keeps the blobs that it makes.
func (s *Server) fromPatch(ctx context.Context, cl Changelist) (*changes, error) {
	base, err := s.patchBase(ctx, cl.Base)
	if err != nil {
		return nil, err
	}
	made := &changes{blobs: make(map[object.ID][]byte)}
	err = s.repo.Apply(ctx, base.ID, []byte(cl.Patch), func(patched *gitrepo.Repo, tree object.ID) error {
		var err error
		if made.files, err = diffBelow(ctx, patched, cl.Path, base.Tree, tree); err != nil {
			return err
		}
		for _, f := range made.files {
			kind, payload, err := patched.Object(ctx, f.ID)
			if errors.Is(err, remote.ErrNotFound) { // a submodule's commit
				continue
			}
			if err != nil {
				return err
			}
			if kind == object.Blob && f.Action != remote.Deleted {
				made.blobs[f.ID] = payload
			}
		}
		return nil
	})
	return made, err
}

func (s *Server) patchBase(ctx context.Context, rev string) (remote.Commit, error) {
	if rev == "" {
		return s.Head(ctx)
	}
	return s.repo.Pin(ctx, rev)
}

// diffBelow compares what two trees have at path; a directory that is not there is empty.
func diffBelow(ctx context.Context, repo differ, path string, from, to object.ID) ([]gitrepo.Difference, error) {
	dirs := newDirectories(repo)
	for _, tree := range []*object.ID{&from, &to} {
		dir, err := dirs.entryAt(ctx, *tree, splitPath(path))
		switch {
		case errors.Is(err, remote.ErrNotFound) || err == nil && dir.Mode != object.ModeTree:
			*tree = object.EmptyTree
		case err != nil:
			return nil, err
		default:
			*tree = dir.ID
		}
	}
	return repo.Diff(ctx, from, to)
}

// differ is the part of a repository that changelists are computed from.
type differ interface {
	trees
	Diff(ctx context.Context, from, to object.ID) ([]gitrepo.Difference, error)
}

// clFiles answers a changelist's files. Mega promises no order, so here it is the order of their ids: no client can come
// to depend on one that looks right.
func (s *Server) clFiles(w http.ResponseWriter, r *http.Request) {
	link := r.PathValue("link")
	found, ok := s.changelists.Load(link)
	if !ok {
		s.fail(w, r, http.StatusNotFound, fmt.Errorf("cl %q: %w", link, remote.ErrNotFound))
		return
	}
	prefix := ""
	if s.quirks.Load().SHA1Prefix {
		prefix = "sha1:"
	}
	files := slices.Clone(found.(*changes).files)
	slices.SortFunc(files, func(a, b gitrepo.Difference) int {
		return cmp.Or(slices.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Path, b.Path))
	})
	answer := make([]changedFile, 0, len(files))
	for _, f := range files {
		oid, err := s.ids.hex(r.Context(), object.Entry{Mode: f.Mode, ID: f.ID})
		if err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
		c := changedFile{Path: f.Path, SHA: prefix + oid, Action: f.Action, OldPath: f.OldPath}
		if f.Action == remote.Renamed {
			c.Similarity = &f.Similarity
		}
		answer = append(answer, c)
	}
	s.succeed(w, r, answer)
}

// patchBlob returns a blob that a changelist's patch made.
func (s *Server) patchBlob(id object.ID) ([]byte, bool) {
	var (
		payload []byte
		found   bool
	)
	s.changelists.Range(func(_, cl any) bool {
		payload, found = cl.(*changes).blobs[id]
		return !found
	})
	return payload, found
}
