// Package keeper has a mount outlive the process that serves it.
//
// # Model
//
// The engine serves; the keeper is its parent and holds what must not die with it: the node journal and the kernel's end of
// the mount, as descriptors. When the engine dies the keeper starts another and gives it the descriptors. When the keeper
// dies the engine starts another keeper and gives it the descriptors, and itself.
//
//	keeper  --- fork, descriptors --->  engine          Run starts, or adopts
//	keeper  <-- READY, FDSTORE, ... ---  engine          Connect, Link.Store, Link.Ready, ...
//	keeper  --- orders, signals ------>  engine          Link.Orders
//	keeper' <-- fork, descriptors ----   engine          Link.Guard
//
// They speak systemd's own protocol, that of sd_notify(3) and sd_listen_fds(3), so that systemd can take the keeper's place.
// Then messages go to NOTIFY_SOCKET. From a keeper they go over a socket pair, by which either side sees the other's death.
//
// The end of an engine counts as wanted only if it announced it (Link.Stopping): no exit status can tell, since 2 is also that
// of a Go panic.
//
// # Ownership
//
// A keeper is one goroutine, which waits in poll(2) and owns everything; another turns signals into bytes of a pipe. It parses
// nothing but the messages, and allocates next to nothing: it has no reason to die. A Link belongs to the engine and may be used
// by any goroutine.
//
// # Failure
//
// An engine that dies is started again, at once the first time and then after ever longer pauses, for as long as the kernel has
// the mount, but not for longer than ten minutes in which no engine is ready. One that does not say that it makes progress
// (Link.Alive), or does not get a mount taken over, is told to dump its goroutines, and killed. If both processes die the kernel
// ends the mount: the last of its descriptors is closed.
//
// # Danger
//
// A child that inherits the mount's descriptor keeps the mount from ending with its servers: each descriptor here is
// close-on-exec but in the one process that it is for. An os.File of it must not be asked to become non-blocking, since that
// would hold for all processes.
package keeper
