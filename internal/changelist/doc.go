// Package changelist applies a changelist to a commit.
//
// # Model
//
// A changelist is not a layer of files and whiteouts. It is applied to the trees of the commit that a mount is pinned to
// (Apply), which gives tree objects that the origin does not have, with the ids that git would give them, up to a new root.
// A mount with a changelist is a mount pinned to that root: names, modes, symbolic links, absence, the rule that upper
// covers it, and what a switch costs are those of any commit. Only the trees on the way to what changed are new; everything
// else keeps its id, and with it what caches and kernels know of it. Files are named by their blobs' ids, which are
// fetched, and verified, as those of the commit are.
//
// Encode makes bytes of a Result, for the process that takes a mount over.
//
// # Meaning
//
// A changelist is a set, not a sequence: each change speaks of the base and of the outcome, never of a state between. So
// renames may form chains and cycles. Changes have no modes: a file keeps the one that the base has at its path (a renamed
// one the one of its old path), and only what is new is looked into. What is new and no blob of the origin is a submodule if
// .gitmodules names it, and else an error: the origin may have lost it. Directories come and go with their files, as in git.
//
// # Failure
//
// Apply changes nothing but its result; what it cannot apply as a whole it refuses, naming the path. Whoever has a mount
// with an older changelist still has it then.
//
// # Trust
//
// Changes come from a server, and may be of somebody whose work nobody has reviewed: names that lead out of a directory are
// refused, and so is .git, which git does not track either and whose configuration names programs to run.
package changelist
