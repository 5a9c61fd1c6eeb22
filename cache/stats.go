package cache

import "sync/atomic"

// Stats counts what a Store has done since it was opened.
type Stats struct {
	MemoryHits uint64 // reads answered without a system call
	DiskHits   uint64 // reads answered by the disk tier
	Misses     uint64 // reads answered by neither
	Puts       uint64 // objects stored
	PutBytes   uint64 // their payloads, in bytes
	Mismatches uint64 // payloads refused at Put or found damaged on disk
	DiskErrors uint64 // reads and writes that the disk failed

	Evicted      uint64 // objects deleted to make room
	EvictedBytes uint64 // the space that they took, in blocks of 4 KiB
}

// counters are the live form of Stats; each is atomic.
type counters struct {
	memoryHits, diskHits, misses, puts, putBytes, mismatches, diskErrors, evicted, evictedBytes atomic.Uint64
}

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	c := &s.counters
	return Stats{
		MemoryHits: c.memoryHits.Load(),
		DiskHits:   c.diskHits.Load(),
		Misses:     c.misses.Load(),
		Puts:       c.puts.Load(),
		PutBytes:   c.putBytes.Load(),
		Mismatches: c.mismatches.Load(),
		DiskErrors: c.diskErrors.Load(),

		Evicted:      c.evicted.Load(),
		EvictedBytes: c.evictedBytes.Load(),
	}
}
