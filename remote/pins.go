package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
)

// ErrNotPinned reports a revision of which no record says what it stood for.
var ErrNotPinned = errors.New("revision was never pinned")

// maxPins is how many records are kept; those that were used longest ago go first.
const maxPins = 1000

// Pins is a directory of records of what revisions stood for when they were pinned, and changelists when they were asked for:
// one file a revision or changelist of an origin, replaced as a whole. Any number of processes may share one. A record that
// cannot be read is none.
type Pins struct {
	dir string // made with the first record
}

// NewPins returns the records in a directory, which need not be there yet.
func NewPins(dir string) *Pins { return &Pins{dir: dir} }

// pin is a record's content. Origin and Rev are there for people, and because the name is only a hash of them.
type pin struct {
	Origin string    `json:"origin"`
	Rev    string    `json:"rev"` // "" is the head
	Commit string    `json:"commit"`
	Tree   string    `json:"tree"`
	Time   time.Time `json:"time"` // the commit's
}

// Record notes what rev, and the commit's own id, stood for.
func (p *Pins) Record(origin, rev string, c Commit) error {
	for _, name := range []string{rev, c.ID.String()} {
		r := pin{Origin: origin, Rev: name, Commit: c.ID.String(), Tree: c.Tree.String(), Time: c.Time.UTC()}
		if err := p.write(p.path(origin, name), r); err != nil {
			return fmt.Errorf("record a pin: %w", err)
		}
	}
	return nil
}

// Lookup returns what rev stood for last, without Root; ErrNotPinned if nobody knows.
func (p *Pins) Lookup(origin, rev string) (Commit, error) {
	var r pin
	if ok, err := p.read(p.path(origin, rev), &r); err != nil {
		return Commit{}, fmt.Errorf("%w: %w", ErrNotPinned, err)
	} else if !ok || r.Origin != origin || r.Rev != rev {
		return Commit{}, ErrNotPinned
	}
	id, err1 := object.Parse(r.Commit)
	tree, err2 := object.Parse(r.Tree)
	if errors.Join(err1, err2) != nil {
		return Commit{}, ErrNotPinned
	}
	return Commit{ID: id, Tree: tree, Time: r.Time}, nil
}

func (p *Pins) path(origin, rev string) string {
	sum := sha256.Sum256([]byte(origin + "\x00" + rev))
	return filepath.Join(p.dir, hex.EncodeToString(sum[:16])+".json")
}

// read reads a record into r; false if there is none, or one that is damaged.
func (p *Pins) read(path string, r any) (bool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && json.Unmarshal(text, r) == nil, err
}

// write replaces a record. One that says the same already is only marked as used.
func (p *Pins) write(path string, r any) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	now := time.Now()
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) && os.Chtimes(path, now, now) == nil {
		return nil
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(p.dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	p.prune()
	return nil
}

// prune keeps the directory small, temp files that a crash left included.
func (p *Pins) prune() {
	entries, err := os.ReadDir(p.dir)
	if err != nil || len(entries) <= maxPins {
		return
	}
	used := make(map[string]time.Time, len(entries))
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			used[e.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return used[a.Name()].Compare(used[b.Name()]) })
	for _, e := range entries[:len(entries)-maxPins*9/10] {
		_ = os.Remove(filepath.Join(p.dir, e.Name())) // another process may have been here first
	}
}

// recorder is an origin whose pins are recorded.
type recorder struct {
	Origin
	pins *Pins
	log  *slog.Logger
}

// Recorded returns origin with each successful Pin and each changelist recorded, so that Offline can do without it. A record
// that cannot be written is a warning.
func Recorded(origin Origin, pins *Pins, log *slog.Logger) Origin {
	r := &recorder{Origin: origin, pins: pins, log: log}
	if lists, ok := origin.(Changelists); ok {
		return Decorate(&listRecorder{recorder: r, lists: lists}, origin)
	}
	return Decorate(r, origin)
}

// Pin asks the origin, and records its answer.
func (r *recorder) Pin(ctx context.Context, rev string) (Commit, error) {
	c, err := r.Origin.Pin(ctx, rev)
	if err != nil {
		return c, err
	}
	if err := r.pins.Record(r.String(), rev, c); err != nil {
		r.log.WarnContext(ctx, "this commit cannot be mounted offline", "rev", rev, "err", err)
	}
	return c, nil
}
