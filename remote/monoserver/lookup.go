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
func queryPath(r *http.Request) []string { return splitPath(r.URL.Query().Get("path")) }

func splitPath(path string) []string {
	var names []string
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// commit resolves a refs parameter: empty is the head, 40 hex digits a commit, everything else a tag.
func (s *Server) commit(ctx context.Context, refs string) (remote.Commit, error) {
	if refs == "" {
		return s.Head(ctx)
	}
	if _, err := object.Parse(refs); err == nil && !strings.HasPrefix(refs, "sha1:") {
		return s.repo.Pin(ctx, refs)
	}
	return s.repo.Pin(ctx, "refs/tags/"+refs)
}

// trees reads tree objects.
type trees interface {
	Tree(ctx context.Context, ref remote.TreeRef) (remote.Tree, error)
}

// entryAt walks from a root tree to the entry of the last name; no names give the root itself.
// A name that is not there, or that stands below something that is no directory, is remote.ErrNotFound.
func entryAt(ctx context.Context, repo trees, root object.ID, names []string) (object.Entry, error) {
	at := object.Entry{Mode: object.ModeTree, ID: root}
	for _, name := range names {
		entries, err := listEntries(ctx, repo, at)
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

// listEntries lists a directory's entry; anything else is remote.ErrNotFound.
func listEntries(ctx context.Context, repo trees, dir object.Entry) ([]object.Entry, error) {
	payload, err := treePayload(ctx, repo, dir)
	if err != nil {
		return nil, err
	}
	entries, err := object.ParseTree(payload)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", dir.ID, err)
	}
	return entries, nil
}

// treePayload returns a directory's raw tree object.
func treePayload(ctx context.Context, repo trees, dir object.Entry) ([]byte, error) {
	if dir.Mode != object.ModeTree {
		return nil, fmt.Errorf("%q is no directory: %w", dir.Name, remote.ErrNotFound)
	}
	t, err := repo.Tree(ctx, remote.TreeRef{ID: dir.ID})
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
