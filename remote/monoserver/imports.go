package monoserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/antares-actor/antares-actor/remote"
)

// Import is a directory that Mega serves from a repository of its own, whose head moves by itself: it ignores refs. Here that
// repository is a commit of the same one, of which only this directory counts.
type Import struct {
	Path string `json:"path"`          // of the directory, as an absolute path
	Rev  string `json:"rev,omitempty"` // "" is the head
}

// errNotUnderRepo is what Mega says of a path that only begins with the letters of an import's path.
var errNotUnderRepo = errors.New("the path is not under the repository")

// commitFor resolves the commit that a path is read from. Mega finds an import by a LIKE over its whole path, longest first: a
// neighbour whose name begins alike is taken for part of it and refused, and a quote breaks the query.
func (s *Server) commitFor(ctx context.Context, refs string, names []string) (remote.Commit, error) {
	path := "/" + strings.Join(names, "/")
	var found *Import
	imports := s.Quirks().Imports
	for i, m := range imports {
		at := "/" + strings.Join(splitPath(m.Path), "/")
		above := at[:strings.LastIndex(at, "/")+1]
		if strings.HasPrefix(path, above) && strings.Contains(path, "'") {
			return remote.Commit{}, fmt.Errorf("syntax error in the query for %q", path)
		}
		if strings.HasPrefix(path, at) && (found == nil || len(m.Path) > len(found.Path)) {
			found = &imports[i]
		}
	}
	if found == nil {
		return s.commit(ctx, refs)
	}
	if at := "/" + strings.Join(splitPath(found.Path), "/"); path != at && !strings.HasPrefix(path, at+"/") {
		return remote.Commit{}, fmt.Errorf("%q: %w: %s", path, errNotUnderRepo, at)
	}
	if found.Rev == "" {
		return s.Head(ctx)
	}
	return s.repo.Pin(ctx, found.Rev)
}
