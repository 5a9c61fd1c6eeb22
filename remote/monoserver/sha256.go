package monoserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// id256 is an object's id in a repository of git's SHA-256 format.
type id256 [sha256.Size]byte

// renamer gives each object the id that it has in the SHA-256 format, for Quirks.SHA256. To know a directory's it reads all
// that is below. A commit's is made of its own payload with the new tree and the old parents: nobody can look further up.
type renamer struct {
	s *Server // immutable

	mu   sync.Mutex
	to   map[object.ID]id256 // protected by mu
	from map[id256]object.ID // protected by mu; blobs only
}

func newRenamer(s *Server) *renamer {
	return &renamer{s: s, to: make(map[object.ID]id256), from: make(map[id256]object.ID)}
}

// hex returns an entry's id as answers have it: of 40 digits, or with Quirks.SHA256 of 64.
func (n *renamer) hex(ctx context.Context, e object.Entry) (string, error) {
	if !n.s.Quirks().SHA256 {
		return e.ID.String(), nil
	}
	id, err := n.entry(ctx, e)
	return hex.EncodeToString(id[:]), err
}

// commitHex does the same for a commit with this payload.
func (n *renamer) commitHex(ctx context.Context, c remote.Commit, payload []byte) (string, error) {
	if !n.s.Quirks().SHA256 {
		return c.ID.String(), nil
	}
	tree, err := n.hex(ctx, object.Entry{Mode: object.ModeTree, ID: c.Tree})
	if err != nil {
		return "", err
	}
	payload = bytes.Replace(payload, []byte("tree "+c.Tree.String()), []byte("tree "+tree), 1)
	id := sum256(object.Commit, payload)
	return hex.EncodeToString(id[:]), nil
}

// tree returns a directory's payload with ids of 32 bytes.
func (n *renamer) tree(ctx context.Context, dir *directory) ([]byte, error) {
	var payload []byte
	for _, e := range dir.entries {
		id, err := n.entry(ctx, e)
		if err != nil {
			return nil, err
		}
		payload = fmt.Appendf(payload, "%o %s\x00%s", uint32(e.Mode), e.Name, id[:])
	}
	return payload, nil
}

// blob finds the blob that has been listed under an id of 64 digits.
func (n *renamer) blob(id id256) (object.ID, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	found, ok := n.from[id]
	return found, ok && n.s.Quirks().SHA256
}

// entry computes an entry's id once.
func (n *renamer) entry(ctx context.Context, e object.Entry) (id256, error) {
	n.mu.Lock()
	id, ok := n.to[e.ID]
	n.mu.Unlock()
	if ok {
		return id, nil
	}
	switch e.Mode {
	case object.ModeGitlink: // of a repository that is not here
		copy(id[:], e.ID[:])
		return id, nil
	case object.ModeTree:
		dir, err := n.s.dirs.read(ctx, e)
		if err != nil {
			return id, err
		}
		payload, err := n.tree(ctx, dir)
		if err != nil {
			return id, err
		}
		id = sum256(object.Tree, payload)
	default:
		payload, err := n.content(ctx, e.ID)
		if err != nil {
			return id, err
		}
		id = sum256(object.Blob, payload)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.to[e.ID] = id
	if e.Mode != object.ModeTree {
		n.from[id] = e.ID
	}
	return id, nil
}

func (n *renamer) content(ctx context.Context, id object.ID) ([]byte, error) {
	if payload, ok := n.s.patchBlob(id); ok {
		return payload, nil
	}
	_, payload, err := n.s.repo.Object(ctx, id)
	return payload, err
}

func sum256(kind object.Kind, payload []byte) id256 {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d\x00", kind, len(payload))
	h.Write(payload)
	return id256(h.Sum(nil))
}
