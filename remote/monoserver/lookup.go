package monoserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// queryPath returns the names in the request's path parameter: an absolute path whose slashes may be doubled, missing
// in front or trailing. No parameter is the root.
func queryPath(r *http.Request) []string {
	var names []string
	for name := range strings.SplitSeq(r.URL.Query().Get("path"), "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// commit resolves a refs parameter: empty is HEAD, 40 hex digits a commit, everything else a tag.
func (s *Server) commit(ctx context.Context, refs string) (remote.Commit, error) {
	if refs == "" {
		return s.repo.Pin(ctx, "")
	}
	if _, err := object.Parse(refs); err == nil && !strings.HasPrefix(refs, "sha1:") {
		return s.repo.Pin(ctx, refs)
	}
	return s.repo.Pin(ctx, "refs/tags/"+refs)
}

// entryAt walks from a commit's root to the entry of the last name; no names give the root itself.
// A name that is not there, or that stands below something that is no directory, is remote.ErrNotFound.
func (s *Server) entryAt(ctx context.Context, c remote.Commit, names []string) (object.Entry, error) {
	at := object.Entry{Mode: object.ModeTree, ID: c.Tree}
	for _, name := range names {
		entries, err := s.entries(ctx, at)
		if err != nil {
			return object.Entry{}, err
		}
		i := indexName(entries, name)
		if i < 0 {
			return object.Entry{}, fmt.Errorf("/%s: %w", strings.Join(names, "/"), remote.ErrNotFound)
		}
		at = entries[i]
	}
	return at, nil
}

// entries lists a directory's entry; anything else is remote.ErrNotFound.
func (s *Server) entries(ctx context.Context, dir object.Entry) ([]object.Entry, error) {
	payload, err := s.payload(ctx, dir)
	if err != nil {
		return nil, err
	}
	entries, err := object.ParseTree(payload)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", dir.ID, err)
	}
	return entries, nil
}

// payload returns a directory's raw tree object.
func (s *Server) payload(ctx context.Context, dir object.Entry) ([]byte, error) {
	if dir.Mode != object.ModeTree {
		return nil, fmt.Errorf("%q is no directory: %w", dir.Name, remote.ErrNotFound)
	}
	t, err := s.repo.Tree(ctx, remote.TreeRef{ID: dir.ID})
	return t.Payload, err
}

func indexName(entries []object.Entry, name string) int {
	for i, e := range entries {
		if e.Name == name {
			return i
		}
	}
	return -1
}
