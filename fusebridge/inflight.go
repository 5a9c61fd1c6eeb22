package fusebridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// inflight knows since when each reader has had the request that it handles.
type inflight struct{ readers sync.Map } // *reading as key, nothing as value

// reading is one reader's part of it.
type reading struct {
	began atomic.Int64 // Unix time in nanoseconds; 0: it waits for a request
	op    atomic.Uint32
}

func (f *inflight) enter() *reading {
	r := new(reading)
	f.readers.Store(r, nil)
	return r
}

func (f *inflight) leave(r *reading) { f.readers.Delete(r) }

func (r *reading) begin(op uint32) {
	r.op.Store(op)
	r.began.Store(time.Now().UnixNano())
}

func (r *reading) end() { r.began.Store(0) }

// oldest returns the operation that has been under way for the longest time, and since when; "" if there is none.
func (f *inflight) oldest() (op string, since time.Time) {
	first := int64(0)
	f.readers.Range(func(key, _ any) bool {
		r := key.(*reading)
		if began := r.began.Load(); began != 0 && (first == 0 || began < first) {
			first, op = began, operationOf(r.op.Load()).name
		}
		return true
	})
	return op, time.Unix(0, first)
}
