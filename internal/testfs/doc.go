// Package testfs runs the antares-actor program for tests, as a user would: it builds it, mounts with it, and takes every
// mount away again, whatever happens.
//
// # Model
//
//	Suite    one test binary   the program, a directory below which everything happens, and at the end the search for leaks
//	Lab      one test          a home directory for the program, its mounts and its servers
//	Mount    one mount         its server is another process, so that a test may use the mount by plain system calls
//	Snapshot one tree          what a directory shows, to be compared with another
//
// # Deadlines
//
// A system call in a mount whose server hangs cannot be killed while the server lives. Every command has a deadline, and
// every mount one for its whole life, both a little before that of the test binary, so that none of them depends on how fast the
// machine is; when one passes, the servers of the lab dump their goroutines (SIGQUIT), their
// connections are aborted (umount -f), which ends every call that waits, and the test fails.
//
// # What every mount is checked for
//
// When it is unmounted: that umount(2) worked without force, that the server ended by itself with status 0, that its log has no
// panic, no race and no error, that no operation answered ENOSYS but those that the stateless mode is made of, and none EIO
// unless the test said so.
package testfs
