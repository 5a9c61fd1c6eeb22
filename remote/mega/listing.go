package mega

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// rawTree asks for the head's tree object at path ("" is the root). No bytes may mean that nothing is there.
func (c *Client) rawTree(ctx context.Context, path string) ([]byte, error) {
	return c.fetch(ctx, c.route("file/tree", "path", "/"+path), typeBytes)
}

// rootTree asks for the head's root. Both routes answer 200 and nothing for what the server does not find, and nothing but the
// server says whether a root is empty. Mega's never is: it makes directories there itself, with a file in each.
func (c *Client) rootTree(ctx context.Context) ([]byte, error) {
	return c.whole(ctx, c.listings, request{url: c.route("file/tree", "path", "/"), want: typeBytes, verify: rootOnly})
}

// rootOnly refuses what is no tree object with entries.
func rootOnly(payload []byte) error {
	entries, err := object.ParseTree(payload)
	if err == nil && len(entries) == 0 {
		err = errors.New("an empty root")
	}
	if err != nil {
		return fmt.Errorf("%w: %w: %w", remote.ErrBadAnswer, errDamaged, err)
	}
	return nil
}

// listing asks for the names, types and ids at path in a commit, in git's order, of what is known not to be empty: an empty
// list may also mean that nothing was found, and is asked for again, and then remote.ErrBadAnswer. The modes are ModeTree for
// directories and ModeFile for everything else, which may be wrong.
func (c *Client) listing(ctx context.Context, commit object.ID, path string) ([]object.Entry, error) {
	query := []string{"path", "/" + path}
	if !commit.IsZero() {
		query = append(query, "refs", commit.String())
	}
	req := request{url: c.route("tree/content-hash", query...), want: typeJSON, verify: notEmpty}
	for tries := 1; ; tries++ {
		text, err := c.whole(ctx, c.listings, req)
		if err != nil {
			return nil, err
		}
		entries, err := parseListing(text)
		switch {
		case err == nil:
			return entries, nil
		case tries == 1 && errors.Is(err, errDamaged):
			c.log.InfoContext(ctx, "asking again", "err", err)
		default:
			return nil, c.failed(req.String(), fmt.Errorf("%w: %w", remote.ErrBadAnswer, err))
		}
	}
}

// unproved is a listing that no id proves. It may come damaged and still be one: two must say the same.
func (c *Client) unproved(ctx context.Context, commit object.ID, path string) ([]object.Entry, error) {
	var entries, again []object.Entry
	var err, errAgain error
	for range maxListings {
		together(
			func() { entries, err = c.listing(ctx, commit, path) },
			func() { again, errAgain = c.listing(ctx, commit, path) },
		)
		if err := cmp.Or(err, errAgain); err != nil || slices.Equal(entries, again) {
			return entries, err
		}
	}
	return nil, fmt.Errorf("mega: list /%s at %s: %w: it is another one each time", path, commit, remote.ErrBadAnswer)
}

// maxEmpty is more bytes than an envelope without entries has.
const maxEmpty = 256

// notEmpty refuses a listing without entries.
func notEmpty(text []byte) error {
	var items []json.RawMessage
	if len(text) < maxEmpty && openEnvelope(text, &items) == nil && len(items) == 0 {
		return fmt.Errorf("%w: %w: an empty list for a directory that is not empty", remote.ErrBadAnswer, errDamaged)
	}
	return nil
}

// parseListing reads the envelope of /tree/content-hash. Where single entries make no sense, that is errDamaged.
func parseListing(text []byte) ([]object.Entry, error) {
	var items []struct {
		Name        string `json:"name"`
		ContentType string `json:"content_type"`
		OID         string `json:"oid"`
	}
	if err := openEnvelope(text, &items); err != nil {
		return nil, fmt.Errorf("listing: %w", err)
	}
	entries := make([]object.Entry, 0, len(items))
	for _, item := range items {
		id, err := object.Parse(item.OID)
		if err != nil {
			return nil, fmt.Errorf("%w: listing: %q: %w", errDamaged, item.Name, err)
		}
		mode := object.ModeFile
		switch item.ContentType {
		case "directory":
			mode = object.ModeTree
		case "file":
		default:
			return nil, fmt.Errorf("%w: listing: %q has content type %.80q", errDamaged, item.Name, item.ContentType)
		}
		if err := object.CheckName(item.Name); err != nil {
			return nil, fmt.Errorf("%w: listing: %w", errDamaged, err)
		}
		entries = append(entries, object.Entry{Name: item.Name, Mode: mode, ID: id})
	}
	return sorted(entries)
}

// sorted puts entries in the order of git's trees, where a directory's name counts as if it ended in a slash, and
// refuses a name that comes twice.
func sorted(entries []object.Entry) ([]object.Entry, error) {
	object.SortEntries(entries)
	if _, err := object.ParseTree(object.AppendTree(nil, entries)); err != nil {
		return nil, fmt.Errorf("%w: listing: %w", errDamaged, err)
	}
	return entries, nil
}
