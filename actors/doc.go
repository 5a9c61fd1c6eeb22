// Package actors is the ownership plane: the actors that own everything that changes in a mount, the snapshot plane that
// answers requests without them, and the Go API that build workers embed.
//
// # API
//
//	engine, err := actors.NewEngine(actors.Config{Content: store, Bridge: bridge})
//	mount, err := engine.Mount(ctx, actors.MountSpec{Origin: origin, Mountpoint: "/mnt/repo", Upper: "/var/upper"})
//	...
//	err = mount.Unmount(ctx)
//
// # Actors
//
//	engine      one a process    mounts, in the order they came
//	mount       one a mount      the state machine Provisioning, Mounted, Ready, Quiescing, Unmounting, Unmounted, Failed
//	dicfuse     one a mount      the pinned commit and changelist, and their switch; turns a directory into a request to the loader
//	upper       one a mount      the work directory: removes orphans when the kernel lets go of them
//	region      many a mount     the tables of its directories, and the places and states of what stands in them
//	copy-up     one a mount      every state that leaves the lower layer: promotions in flight, one per inode, parents first
//	loader      one an engine    fetches in line and under way, by object id: one however many wait
//	prefetch    one a mount      what is fetched ahead of its use
//	notifier    one a mount      what the kernel is told without having asked
//
// # Planes
//
// A request is answered from snapshots (fs_*.go): a directory's table, a node's state, bytes that are here. Only what
// they cannot answer becomes a message to the node's owner: a mutation, or something that is not loaded yet.
//
// # Laws
//
//  1. Never block in Receive: no HTTP, no waiting, no large copy. Waiting is remembering: the message is parked, a bounded
//     worker does the work and sends one fact back, and the message is received again from its beginning. Short system calls
//     on the upper directory are the owner's own work.
//  2. Publish, then reply.
//  3. Reply exactly once. A panic answers ErrPanic (EIO) to the request in hand; the actor restarts, forgets the tables that
//     the request touched so that they are read from disk again, and receives its parked messages anew.
//  4. The reply slot (Call) travels forward with the message; the last actor answers. No actor asks another and waits.
//  5. No actor field is the only copy of anything durable.
//  6. Kernel notifications go only through the notifier, never from a request's path.
//
// # Who may write a node's state
//
// While a node is in the lower layer: the copy-up actor alone, which so orders a promotion against the loss of the node's
// name (a process may write through a mapping while another unlinks the file). Once it is in upper: the region that owns the
// directory in which its name stands.
package actors
