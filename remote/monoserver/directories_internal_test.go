package monoserver

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// memory has tree objects by id, and counts what is read.
type memory struct {
	payloads map[object.ID][]byte
	reads    int
}

func (m *memory) Tree(_ context.Context, ref remote.TreeRef) (remote.Tree, error) {
	m.reads++
	p, ok := m.payloads[ref.ID]
	if !ok {
		return remote.Tree{}, remote.ErrUnavailable
	}
	return remote.Tree{Payload: p}, nil
}

// add adds a directory and returns its entry.
func (m *memory) add(entries ...object.Entry) object.Entry {
	p := object.AppendTree(nil, entries)
	id := object.Sum(object.Tree, p)
	m.payloads[id] = p
	return object.Entry{Name: "dir", Mode: object.ModeTree, ID: id}
}

func TestDirectoriesAreReadOnceUntilTheyAreTooMany(t *testing.T) {
	m := &memory{payloads: make(map[object.ID][]byte)}
	d := newDirectories(m)
	var all []object.Entry
	for i := range 10 {
		all = append(all, m.add(object.Entry{Name: fmt.Sprintf("file%d", i), Mode: object.ModeFile}))
	}
	d.limit = 5 * len(m.payloads[all[0].ID])
	read := func(dirs []object.Entry, want int) {
		t.Helper()
		before := m.reads
		for _, e := range dirs {
			dir, err := d.read(t.Context(), e)
			if err != nil || len(dir.entries) != 1 {
				t.Fatal(err)
			}
		}
		if m.reads-before != want {
			t.Errorf("%d reads, want %d", m.reads-before, want)
		}
	}
	read(all[:5], 5)
	read(all[:5], 0)
	read(all[5:], 5) // the sixth takes the room of the others
	read(all[5:], 0)
	read(all[:1], 1)
	if d.size > d.limit || len(d.kept) != 1 {
		t.Errorf("%d bytes of %d directories are kept", d.size, len(d.kept))
	}
	gone := object.Entry{Mode: object.ModeTree, ID: object.Sum(object.Tree, []byte("gone"))}
	for range 2 {
		if _, err := d.read(t.Context(), gone); !errors.Is(err, remote.ErrUnavailable) {
			t.Errorf("trouble is not kept: %v", err)
		}
	}
}
