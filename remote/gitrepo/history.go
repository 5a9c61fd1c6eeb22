package gitrepo

import (
	"context"
	"fmt"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// LastChange returns the newest commit, from this one backwards, that changed what lies at path (slash separated, from
// the repository's root). It walks history in a process of its own: seconds in a long one, so no mount asks for it.
func (r *Repo) LastChange(ctx context.Context, from object.ID, path string) (object.ID, error) {
	out, err := r.run(ctx, "rev-list", "-1", from.String(), "--", path)
	if err != nil {
		return object.ID{}, fmt.Errorf("%w: %w", remote.ErrUnavailable, err)
	}
	text := strings.TrimSpace(string(out))
	if text == "" {
		return object.ID{}, fmt.Errorf("gitrepo: history of %q: %w", path, remote.ErrNotFound)
	}
	id, err := object.Parse(text)
	if err != nil {
		return object.ID{}, fmt.Errorf("gitrepo: history of %q: %w: %w", path, remote.ErrBadAnswer, err)
	}
	return id, nil
}
