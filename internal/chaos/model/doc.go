// Package model is a directory tree in memory: what each system call must answer on it, and what it must leave.
//
// # Model
//
// A Node is an inode, a Place is where a name is or could be. Each call of the package takes places and nodes, looks only, and
// returns the errno that the kernel must give, and if that is 0 the effect that the call must have. The two are apart so that
// somebody whose call was cut off can ask which of the two trees, with and without the effect, is there now.
//
// The rules are Linux's for root on ext4, and were checked there: see TestTheModelIsRightAboutAPlainDirectory of package writer.
package model
