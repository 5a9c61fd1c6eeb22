// Package fusebridge connects an actors.FS to the Linux kernel by FUSE: it mounts, moves requests and replies between
// /dev/fuse and handlers, and speaks the protocol's structures, errnos and notifications. It holds no file system state.
//
// # Stateless mode
//
// OPEN (unless the mount is to copy up at open), OPENDIR, CREATE, FLUSH and ACCESS answer ENOSYS once; the kernel then never
// sends them again, and keeps page and directory caches across opens by itself. No file handle exists. Creating a file is
// MKNOD. POLL answers ENOSYS as well, upon which the kernel answers poll(2) itself: always ready, as for any regular file. No
// other operation ever answers ENOSYS, and a test counts that.
//
// # Time-outs
//
// Entries, attributes and the absence of names are cached by the kernel for ever: all changes come through the mount, and
// those that do not are told to it (Conn's Notifier methods). For the same reason page cache is dropped explicitly only
// (FUSE_EXPLICIT_INVAL_DATA): with FUSE_AUTO_INVAL_DATA a GETATTR after each write would drop it, since the modification
// time changed.
//
// # Transport
//
// We read and write /dev/fuse ourselves and have go-fuse's ProtocolServer parse; that API is experimental, and
// transport.go is the only file that knows it.
//
// # Failure
//
// A handler that panics answers EIO and the mount lives. Errors become errnos in one table (errno.go), ENOSYS never.
//
// # Danger
//
// A process that serves a mount must not open, stat or execute files of it: each of its threads could be needed to answer.
// Everything here finds out about its own mount from /proc/self/mountinfo and /sys.
package fusebridge
