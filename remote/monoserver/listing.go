package monoserver

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// hashItem is Mega's TreeHashItem.
type hashItem struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	OID         string `json:"oid"`
}

// treeItem is Mega's TreeBriefItem: what a web page lists.
type treeItem struct {
	Name        string `json:"name"`
	Path        string `json:"path"`
	ContentType string `json:"content_type"`
}

// fileTree is one of the directories above the one that was asked for.
type fileTree struct {
	Items []treeItem `json:"tree_items"`
	Total int        `json:"total_count"`
}

// contentType is all that Mega says about a mode: symlinks and submodules are files.
func contentType(m object.Mode) string {
	if m == object.ModeTree {
		return "directory"
	}
	return "file"
}

// list returns a directory's entries in Mega's order: directories first, then by name's bytes. What is missing or no
// directory gives an empty list, never null: clients take null for a broken answer.
func (s *Server) list(ctx context.Context, refs string, names []string) ([]object.Entry, error) {
	c, err := s.commitFor(ctx, refs, names)
	if err != nil {
		return nil, err
	}
	dir, err := s.dirs.entryAt(ctx, c.Tree, names)
	if err == nil {
		var read *directory
		if read, err = s.dirs.read(ctx, dir); err == nil {
			entries := slices.Clone(read.entries)
			slices.SortFunc(entries, func(a, b object.Entry) int {
				return cmp.Or(cmp.Compare(contentType(a.Mode), contentType(b.Mode)), cmp.Compare(a.Name, b.Name))
			})
			return entries, nil
		}
	}
	if errors.Is(err, remote.ErrNotFound) {
		return nil, nil
	}
	return nil, err
}

func (s *Server) contentHash(w http.ResponseWriter, r *http.Request) {
	entries, err := s.list(r.Context(), r.URL.Query().Get("refs"), queryPath(r))
	if err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	items := make([]hashItem, 0, len(entries))
	for _, e := range entries {
		oid, err := s.ids.hex(r.Context(), e)
		if err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
		items = append(items, hashItem{Name: e.Name, ContentType: contentType(e.Mode), OID: oid})
	}
	s.succeed(w, r, items)
}

// dirHash looks the last name up in its parent, so the root, which has none, is always an empty list, and an import's
// root has the id that its parent gives it.
func (s *Server) dirHash(w http.ResponseWriter, r *http.Request) {
	items := []hashItem{}
	names := queryPath(r)
	c, err := s.commitFor(r.Context(), r.URL.Query().Get("refs"), names[:max(len(names)-1, 0)])
	if err == nil && len(names) > 0 {
		var e object.Entry
		e, err = s.dirs.entryAt(r.Context(), c.Tree, names)
		if err == nil && e.Mode == object.ModeTree {
			var oid string
			oid, err = s.ids.hex(r.Context(), e)
			items = append(items, hashItem{Name: e.Name, ContentType: contentType(e.Mode), OID: oid})
		}
	}
	if err != nil && !errors.Is(err, remote.ErrNotFound) {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	s.succeed(w, r, items)
}

// tree lists a directory without ids, together with every directory strictly above it.
func (s *Server) tree(w http.ResponseWriter, r *http.Request) {
	names, refs := queryPath(r), r.URL.Query().Get("refs")
	above := make(map[string]fileTree, len(names))
	for i := range names {
		items, err := s.brief(r.Context(), refs, names[:i])
		if err != nil {
			s.fail(w, r, http.StatusInternalServerError, err)
			return
		}
		above["/"+strings.Join(names[:i], "/")] = fileTree{Items: items, Total: len(items)}
	}
	items, err := s.brief(r.Context(), refs, names)
	if err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	s.succeed(w, r, map[string]any{"file_tree": above, "tree_items": items})
}

func (s *Server) brief(ctx context.Context, refs string, names []string) ([]treeItem, error) {
	entries, err := s.list(ctx, refs, names)
	if err != nil {
		return nil, err
	}
	items := make([]treeItem, 0, len(entries))
	for _, e := range entries {
		p := path.Join("/", strings.Join(names, "/"), e.Name)
		items = append(items, treeItem{Name: e.Name, Path: p, ContentType: contentType(e.Mode)})
	}
	return items, nil
}
