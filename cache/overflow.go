package cache

import (
	"sync"
	"sync/atomic"

	"github.com/antares-actor/antares-actor/internal/object"
)

// overflow holds the objects that the disk tier has not taken yet (behind), or would not take, so that a full disk costs memory
// and refetches instead of failed reads. Unlike ristretto it never refuses what fits: an object that was just put is there.
type overflow struct {
	used  atomic.Int64 // bytes held; read without mu, so that the usual case, empty, costs one load
	limit int64        // immutable

	mu    sync.Mutex
	items map[object.ID][]byte // protected by mu
	order []object.ID          // protected by mu; first in, first out
}

func newOverflow(limit int64) *overflow {
	return &overflow{limit: limit, items: make(map[object.ID][]byte)}
}

func (o *overflow) bytes(id object.ID) ([]byte, bool) {
	if o.used.Load() == 0 {
		return nil, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.items[id]
	return b, ok
}

// hold keeps an object that waits for the disk, if there is room: what waits may not be let go.
func (o *overflow) hold(id object.ID, b []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.items[id]; ok {
		return true
	}
	if o.used.Load()+int64(len(b)) > o.limit {
		return false
	}
	o.keep(id, b)
	return true
}

// add keeps an object and lets the oldest go to make room; false when it is larger than the whole.
func (o *overflow) add(id object.ID, b []byte) bool {
	if int64(len(b)) > o.limit {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.items[id]; ok {
		return true
	}
	for o.used.Load()+int64(len(b)) > o.limit {
		o.delete(o.order[0])
	}
	o.keep(id, b)
	return true
}

// keep needs mu.
func (o *overflow) keep(id object.ID, b []byte) {
	o.items[id] = b
	o.order = append(o.order, id)
	o.used.Add(int64(len(b)))
}

// remove forgets an object that has reached the disk after all.
func (o *overflow) remove(id object.ID) {
	if o.used.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delete(id)
}

// delete needs mu. Objects leave in about the order they came in, so the search is short.
func (o *overflow) delete(id object.ID) {
	b, ok := o.items[id]
	if !ok {
		return
	}
	delete(o.items, id)
	o.used.Add(-int64(len(b)))
	for i, other := range o.order {
		if other == id {
			o.order = append(o.order[:i], o.order[i+1:]...)
			return
		}
	}
}

func (o *overflow) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.items)
	o.order = nil
	o.used.Store(0)
}
