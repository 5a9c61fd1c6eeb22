package monoserver

import (
	"context"
	"fmt"

	"github.com/antares-actor/antares-actor/remote"
)

// Head returns what requests without refs are answered from now.
func (s *Server) Head(ctx context.Context) (remote.Commit, error) {
	if c := s.head.Load(); c != nil {
		return *c, nil
	}
	return s.repo.Pin(ctx, "")
}

// SetHead moves the head to a revision of the repository, at once for each request that has not looked at it yet. ""
// lets it follow the repository's own HEAD again, as it does at first.
func (s *Server) SetHead(ctx context.Context, rev string) (remote.Commit, error) {
	c, err := s.repo.Pin(ctx, rev)
	if err != nil {
		return remote.Commit{}, fmt.Errorf("monoserver: move the head: %w", err)
	}
	if rev == "" {
		s.head.Store(nil)
	} else {
		s.head.Store(&c)
	}
	return c, nil
}
