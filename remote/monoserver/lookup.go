package monoserver

import (
	"context"
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
