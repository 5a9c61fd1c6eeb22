package mega

import (
	"context"
	"fmt"
	"slices"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Tree returns a directory's tree object: the head's where it still has this id, else one rebuilt from the pinned
// commit's listing (package comment). It is Derived when no modes were found that hash to the id.
func (c *Client) Tree(ctx context.Context, ref remote.TreeRef) (remote.Tree, error) {
	if ref.ID == object.EmptyTree {
		return remote.Tree{}, nil
	}
	head, err := c.rawTree(ctx, ref.Path)
	if err != nil {
		return remote.Tree{}, err
	}
	if object.Sum(object.Tree, head) == ref.ID {
		return remote.Tree{Payload: head}, nil
	}
	payload, verified, err := c.relisted(ctx, ref, modesOf(head))
	if err != nil {
		return remote.Tree{}, err
	}
	if !verified && ref.Commit.IsZero() {
		return remote.Tree{}, fmt.Errorf("mega: tree /%s: %w: the head has another and no commit was given", ref.Path, remote.ErrMismatch)
	}
	if !verified {
		c.log.WarnContext(ctx, "modes are a guess: the directory's tree object cannot be had",
			"path", "/"+ref.Path, "commit", ref.Commit, "tree", ref.ID)
	}
	return remote.Tree{Payload: payload, Derived: !verified}, nil
}

// maxListings is how often a listing is asked for at most that nothing proves.
const maxListings = 5

// relisted rebuilds a directory from its listing. Where no modes hash to its id, the listing may have come damaged and still be
// one: two in a row must say the same.
func (c *Client) relisted(ctx context.Context, ref remote.TreeRef, hints map[string]object.Mode) (payload []byte, verified bool, err error) {
	var before []object.Entry
	for range maxListings {
		entries, err := c.listing(ctx, ref.Commit, ref.Path) // its parent has it, so that it is not empty
		if err != nil {
			return nil, false, err
		}
		if slices.Equal(entries, before) {
			return payload, false, nil
		}
		payload, verified, err = c.rebuild(ctx, ref.ID, entries, hints)
		if err != nil {
			return nil, false, fmt.Errorf("mega: tree /%s at %s: %w", ref.Path, ref.Commit, err)
		}
		if verified {
			return payload, true, nil
		}
		before = entries
	}
	return nil, false, fmt.Errorf("mega: tree /%s at %s: %w: its listing is another one each time", ref.Path, ref.Commit, remote.ErrBadAnswer)
}

// modesOf returns the modes by name of a tree object that was not asked for, as hints; a malformed one gives none.
func modesOf(payload []byte) map[string]object.Mode {
	entries, err := object.ParseTree(payload)
	if err != nil {
		return nil
	}
	modes := make(map[string]object.Mode, len(entries))
	for _, e := range entries {
		modes[e.Name] = e.Mode
	}
	return modes
}
