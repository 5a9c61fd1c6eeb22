// Demo runs antares-actor's main job from end to end and checks each step. `make demo` builds and starts it.
//
// It serves the repository that it is run in by `antares-actor mono` on a free loopback port, mounts its HEAD through HTTP, and in the mount
// creates, appends, runs a database with several writers, and builds antares-actor from the mounted source. Then it asks git
// whether everything else in the mount is what the commit says, unmounts, and prints the mount's own numbers beside those
// of the server.
//
// # Method
//
// What is done in the mount is done by other programs (touch, sh, sqlite3, go, git), each with a time limit, as a user
// would: a mount that hangs fails the demo and not its cleaning up. What is checked is checked from outside: in upper, in
// the content store, in the repository.
//
// # Builds
//
// The build in the mount is compared with one in a plain directory that has the same files. Both use the user's module and
// build caches. These are warm, since building antares-actor itself has filled them: what is measured is reading the sources,
// compiling this module's packages (whose cache keys contain the directory) and linking. A build in a second plain
// directory, not counted, comes first, so that neither finds colder disks than the other. The content store is empty before the
// build in the mount, beyond what the steps before have read: its time contains fetching the sources.
//
// # Cleaning up
//
// Everything lies in one temporary directory. It is removed at the end, however the demo ends, unless -keep is given or
// the mount cannot be taken away.
package main
