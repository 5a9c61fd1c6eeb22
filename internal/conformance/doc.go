// Program conformance runs public test suites of file systems on plain ext4, on the kernel's overlayfs, on fuse-overlayfs and
// on this checkout's antares-actor, and prints what each of them passes.
//
//	go run ./internal/conformance -suite pjdfstest -path /path/to/pjdfstest
//
// The suites are not part of this repository: -path names a built one. See docs/conformance.md.
//
// # Model
//
// Everything happens in a mount namespace of its own, on an ext4 file system in a loop device's image below -scratch. A
// contender shows a tree at a path (stand), a suite runs there under a time limit and returns what failed (outcome). Suites
// that mount by themselves get the contender's mount type instead. When a limit passes, the FUSE connections that this
// namespace has are aborted, so that nothing waits for a server that hangs, and the suite counts as failed.
//
// The tests of this package run go-fuse's posixtest in a mount: in a process of their own, since some of them count the
// process's descriptors.
package main
