// Command antares-actor mounts a monorepo at one commit, lazily and writable.
//
//	antares-actor mount [flags] MOUNTPOINT               mount and serve; with --detach in a process of its own
//	antares-actor unmount MOUNTPOINT                     unmount and wait for the server to end
//	antares-actor run [flags] -- COMMAND [ARG...]        mount, run COMMAND in the mount, unmount
//	antares-actor switch MOUNTPOINT [REV]                show another commit
//	antares-actor cl MOUNTPOINT LINK                     show a changelist; with --clear none
//	antares-actor status MOUNTPOINT                      what a mount shows
//	antares-actor warm MOUNTPOINT PATTERN...             fetch what matches
//	antares-actor upgrade MOUNTPOINT                     go on serving with the program that is installed now
//	antares-actor list                                   this machine's mounts
//	antares-actor fsck [flags] UPPER                     look for damage in an upper directory
//	antares-actor cache stats|gc|verify|path             look after the content store
//	antares-actor mono --git REPO                        serve a repository by Mega's HTTP API
//	antares-actor version
//
// # Layout
//
// Each verb has a file, cmd_VERB.go, with its flags and what it does; cmd_switch.go has all that ask a mount's server to show
// something, or what it shows. wire.go is the only place that chooses concrete parts and puts them together; options.go has the
// flags that verbs share, exit.go the exit codes, which are never renumbered.
//
// # Processes
//
// A process that serves a mount never uses the mount itself: each of its threads could be needed to answer. So run and
// mount --detach start this program again as the server, in a session of its own, and wait until it says by a pipe that the
// mount can be used (detach.go). The server is two processes, unless --no-keeper: mount is the keeper (keep.go, and package
// keeper), which starts the hidden verb engine (engine.go, server.go); an engine whose keeper died starts the hidden verb
// keeper. The engine leaves a record for list in /run/antares-actor, or for other users than root in their runtime
// directory, and removes it when the mount has ended.
//
// # Signals
//
// SIGINT, SIGTERM and SIGHUP unmount; the keeper passes them to the engine. A mount that is busy stays, and its holders are
// logged; a second signal detaches it, and the server ends when the last holder lets go. SIGUSR2 to the keeper is an upgrade. run
// passes signals on to its command.
package main
