package main

import (
	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/cache"
)

// statistics are what --stats writes.
type statistics struct {
	Commit         string            `json:"commit"`
	OriginRequests uint64            `json:"origin_requests"`
	OriginBytes    uint64            `json:"origin_bytes"`
	Demand         fetches           `json:"demand"`
	Prefetch       fetches           `json:"prefetch"`
	Requests       map[string]uint64 `json:"requests"`
	Errors         map[string]uint64 `json:"errors"`
	Inodes         int               `json:"inodes"`
	Cache          cache.Stats       `json:"cache"`
}

// fetches are what the mount asked the origin for, because somebody waited for it or ahead.
type fetches struct {
	Blobs  uint64 `json:"blobs"`
	Trees  uint64 `json:"trees"`
	Bytes  uint64 `json:"bytes"`
	Joined uint64 `json:"joined,omitempty"` // prefetches that somebody waited for before they were here
	Hits   uint64 `json:"hits,omitempty"`   // prefetches of what was used afterwards
}

func newFetches(f actors.Fetches, joined, hits uint64) fetches {
	return fetches{Blobs: f.Blobs, Trees: f.Trees, Bytes: f.Bytes, Joined: joined, Hits: hits}
}

func writeStats(path string, m *actors.Mount, store *cache.Store) error {
	s := m.Stats()
	return writeJSON(path, statistics{
		Commit: commitOf(m), OriginRequests: s.Origin.Requests, OriginBytes: s.Origin.Bytes,
		Demand: newFetches(s.Demand, 0, 0), Prefetch: newFetches(s.Prefetch, s.Joined, s.Hits),
		Requests: s.Requests, Errors: s.Errors, Inodes: s.Inodes, Cache: store.Stats(),
	})
}
