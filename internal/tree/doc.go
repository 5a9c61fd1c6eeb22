// Package tree holds what a mount knows: nodes (one an inode), the state that says where each node's bytes are, and the
// merged listings of directories.
//
// # Ownership
//
// A Node's fields are either immutable or one atomic pointer to an immutable value. Many goroutines read them without a
// lock (the snapshot plane); each has exactly one writer at a time:
//
//	field     written by
//	Ino, Type whoever makes the node, before it is shared
//	Owner     the same; a node never changes its owner
//	place     the region that owns the directory that the node is renamed out of
//	state     the copy-up actor while the node is in the lower layer, then the region of the directory where its name stands
//	table     the region that owns the directory
//	file      anyone: it is a cache of an open descriptor, replaced by compare-and-swap
//	links     whoever makes or takes a name of the node
//	lookups   the index: how often the kernel was given this id and has not forgotten it
//
// # Numbers
//
// A node's number is its identity for the kernel (node id) and for users (st_ino), and stays for the life of the mount and
// across copy-up, rename and remount: see Numbers in ino.go.
//
// # Outliving the process
//
// A Journal has what the index and unanswered requests hold, in memory that another process keeps. See Journal for what a
// kill takes with it, and journal_compact.go for how the file is laid out. After a takeover the index knows nodes that do not
// exist yet: see Index.
//
// # Directory streams
//
// An entry's cookie is a hash of its name, as in ext4's htree: it needs no per-open state, stays the same while other names
// come and go, and survives a restart of the engine. See Table.
package tree
