// Package remote defines where a monorepo comes from: the Origin that a mount is pinned to, and the errors its drivers
// report. The drivers are sub-packages: mega (a Mega server's HTTP API) and gitrepo (a git repository on disk). Beside them are
// monoserver, a server that speaks Mega's API over a git repository; origintest, the contract of drivers as a test suite; and
// fault, what can go wrong between a client and a server.
//
// # Trust
//
// What a driver returns was verified where that is possible: a tree's payload hashes to its id before it is returned, unless it
// says Derived; a blob's bytes are streamed, and whoever stores them verifies them (package cache). A driver never turns trouble
// into absence: ErrNotFound means that the origin said so and that this could be believed.
//
// # Without the origin
//
// Recorded notes what revisions and changelists stood for (Pins), and Offline is an origin that knows nothing but that.
package remote
