// Package upper is the writable layer's store: a directory in the format of a kernel overlayfs upper, and the work
// directory beside it.
//
// # Format
//
// A whiteout is a character device 0:0. A directory that hides the one below is marked by the extended attribute
// trusted.overlay.opaque=y; without the right to write trusted attributes, by user.overlay.opaque=y. A copied-up file
// carries its inode number in <prefix>antares.ino, which kernel overlayfs hides and ignores. There are no whiteouts in
// directories that have nothing below them.
//
// # Work directory
//
//	work/tmp/N          a file or directory being built; renamed into place when it is whole
//	work/orphans/INO    a file or directory without a name that the kernel may still hold open, removed when it lets go
//	work/links/INO      a file that has several names in a lower layer: see Index. It stays from mount to mount
//	work/lock           locked (flock), as upper itself is, for as long as a mount uses the two directories
//	work/work/incompat  marks of kernel overlayfs that forbid the use of the two, volatile among them: see volatile.go
//
// tmp and orphans mean nothing after a crash: Open empties them, but for orphans when it takes over a mount that lives on.
//
// # Safety
//
// Every access is relative to a directory descriptor and follows no symbolic link, so that nothing below upper can lead
// out of it. Files are opened by name and proved by their number (see Store.OpenChild). Errors are Linux's errnos, wrapped
// with the operation.
//
// The package knows nothing of nodes, of other layers or of actors; its methods are safe to call concurrently, but two
// changes of one directory must be ordered by the caller (its region).
package upper
