// Package remote defines where a monorepo comes from: the Origin that a mount is pinned to, and the errors its drivers
// report. The drivers are sub-packages: mega (a Mega server's HTTP API), gitrepo (a git repository on disk) and
// monoserver, an embedded server that speaks Mega's API over a git repository.
//
// # Trust
//
// What a driver returns was verified where that is possible: a tree's payload hashes to its id before it is returned; a
// blob's bytes are streamed, and whoever stores them verifies them (package cache). A driver never turns trouble into
// absence: ErrNotFound means that the origin said so and that this could be believed.
package remote
