package cache

import (
	"encoding/binary"
	"sync"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/antares-actor/antares-actor/internal/object"
)

// typicalObject is the mean size in bytes of the small objects of a source tree; it sizes ristretto's frequency sketch.
const typicalObject = 8 << 10

// memory is the first tier: ristretto, with the payload's length as the cost.
//
// Its key is the id's first 8 bytes, which a cryptographic hash has spread already; the entry carries the whole id, so
// that two ids with one prefix displace each other and never answer for each other.
type memory struct {
	// mu is held for reading around every use of the cache, and for writing by close: ristretto's Close panics a
	// concurrent Set or Get (it closes the channels that they send on).
	mu     sync.RWMutex
	closed bool // protected by mu
	cache  *ristretto.Cache[uint64, *entry]
}

// entry is one object in memory; immutable.
type entry struct {
	id object.ID
	b  []byte
}

func newMemory(limit int64) (*memory, error) {
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *entry]{
		NumCounters: max(1024, 10*limit/typicalObject),
		MaxCost:     limit,
		BufferItems: 64,
		// The default goes through an interface and allocates 8 bytes a lookup.
		KeyToHash: func(k uint64) (uint64, uint64) { return k, 0 },
	})
	if err != nil {
		return nil, err
	}
	return &memory{cache: c}, nil
}

func key(id object.ID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// bytes returns an object's payload.
func (m *memory) bytes(id object.ID) ([]byte, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, false
	}
	e, ok := m.cache.Get(key(id))
	if !ok || e.id != id {
		return nil, false
	}
	return e.b, true
}

// add offers an object, which ristretto may refuse or drop.
func (m *memory) add(id object.ID, b []byte) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.closed {
		m.cache.Set(key(id), &entry{id: id, b: b}, int64(len(b)))
	}
}

func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.cache.Close()
	}
}
