package remote

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/antares-actor/antares-actor/internal/object"
)

// ErrNotListed reports a changelist of which no record says what it changes.
var ErrNotListed = errors.New("changelist was never shown with this cache")

// list is a record's content.
type list struct {
	Origin  string   `json:"origin"`
	Link    string   `json:"changelist"`
	Changes []listed `json:"changes"`
}

type listed struct {
	Action  Action `json:"action"`
	Path    string `json:"path"`
	OldPath string `json:"old_path,omitempty"`
	ID      string `json:"id"`
}

// RecordChanges notes what a changelist does.
func (p *Pins) RecordChanges(origin, link string, changes []Change) error {
	r := list{Origin: origin, Link: link, Changes: make([]listed, len(changes))}
	for i, c := range changes {
		r.Changes[i] = listed{Action: c.Action, Path: c.Path, OldPath: c.OldPath, ID: c.ID.String()}
	}
	if err := p.write(p.listPath(origin, link), r); err != nil {
		return fmt.Errorf("record a changelist: %w", err)
	}
	return nil
}

// LookupChanges returns what a changelist did when it was recorded last; ErrNotListed if nobody knows.
func (p *Pins) LookupChanges(origin, link string) ([]Change, error) {
	var r list
	if ok, err := p.read(p.listPath(origin, link), &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotListed, err)
	} else if !ok || r.Origin != origin || r.Link != link {
		return nil, ErrNotListed
	}
	changes := make([]Change, len(r.Changes))
	for i, c := range r.Changes {
		id, err := object.Parse(c.ID)
		if err != nil {
			return nil, ErrNotListed
		}
		changes[i] = Change{Action: c.Action, Path: c.Path, OldPath: c.OldPath, ID: id}
	}
	return changes, nil
}

// listPath is no path of a revision, which has no NUL.
func (p *Pins) listPath(origin, link string) string {
	sum := sha256.Sum256([]byte(origin + "\x00\x00" + link))
	return filepath.Join(p.dir, hex.EncodeToString(sum[:16])+".json")
}

// listRecorder is an origin whose changelists are recorded, too.
type listRecorder struct {
	*recorder
	lists Changelists
}

// Changes asks the origin, and records its answer.
func (r *listRecorder) Changes(ctx context.Context, link string) ([]Change, error) {
	changes, err := r.lists.Changes(ctx, link)
	if err != nil {
		return nil, err
	}
	if err := r.pins.RecordChanges(r.String(), link, changes); err != nil {
		r.log.WarnContext(ctx, "this changelist cannot be shown offline", "changelist", link, "err", err)
	}
	return changes, nil
}
