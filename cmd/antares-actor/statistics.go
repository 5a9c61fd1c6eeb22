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
	Requests       map[string]uint64 `json:"requests"`
	Errors         map[string]uint64 `json:"errors"`
	Inodes         int               `json:"inodes"`
	Cache          cache.Stats       `json:"cache"`
}

func writeStats(path string, m *actors.Mount, store *cache.Store) error {
	s := m.Stats()
	return writeJSON(path, statistics{
		Commit: commitOf(m), OriginRequests: s.Origin.Requests, OriginBytes: s.Origin.Bytes,
		Requests: s.Requests, Errors: s.Errors, Inodes: s.Inodes, Cache: store.Stats(),
	})
}
