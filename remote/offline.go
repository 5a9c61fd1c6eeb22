package remote

import (
	"context"
	"fmt"

	"github.com/antares-actor/antares-actor/internal/object"
)

// ErrOffline reports something that only the network has, which was not to be used.
var ErrOffline = fmt.Errorf("%w: offline", ErrUnavailable)

// offline is an origin that is never asked.
type offline struct {
	Origin // for its name, and to be closed
	pins   *Pins
}

var (
	_ Changelists = (*offline)(nil)
	_ LargeFiles  = (*offline)(nil)
)

// Offline returns an origin of the same name that never asks origin anything: revisions and changelists are what the records
// say, and everything else is ErrOffline, at once. What a content store holds can be read without an origin; that is all there
// is.
//
// It is deliberately no BatchSizer: a batch would fail as a whole where some of it is in the store.
func Offline(origin Origin, pins *Pins) Origin { return &offline{Origin: origin, pins: pins} }

// Pin returns what rev stood for when it was last pinned with these records.
func (o *offline) Pin(ctx context.Context, rev string) (Commit, error) {
	if err := ctx.Err(); err != nil {
		return Commit{}, err
	}
	c, err := o.pins.Lookup(o.String(), rev)
	if err != nil {
		name := fmt.Sprintf("revision %q", rev)
		if rev == "" {
			name = "its head"
		}
		return Commit{}, fmt.Errorf("%s: %s: %w: %w", o, name, ErrOffline, err)
	}
	return c, nil
}

func (o *offline) Tree(ctx context.Context, ref TreeRef) (Tree, error) {
	if ref.ID == object.EmptyTree {
		return Tree{}, nil
	}
	return Tree{}, o.refuse(ctx, "tree /"+ref.Path)
}

func (o *offline) Blob(ctx context.Context, id object.ID) (Blob, error) {
	return Blob{}, o.refuse(ctx, "blob "+id.String())
}

// Changes returns what a changelist did when it was last asked for with these records.
func (o *offline) Changes(ctx context.Context, link string) ([]Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	changes, err := o.pins.LookupChanges(o.String(), link)
	if err != nil {
		return nil, fmt.Errorf("%s: changelist %q: %w: %w", o, link, ErrOffline, err)
	}
	return changes, nil
}

// LargeFile is ErrOffline.
func (o *offline) LargeFile(ctx context.Context, sum [32]byte, _ int64) (Blob, error) {
	return Blob{}, o.refuse(ctx, fmt.Sprintf("large file %x", sum))
}

func (o *offline) refuse(ctx context.Context, what string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %s: %w", o, what, ErrOffline)
}
