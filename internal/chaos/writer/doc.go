// Package writer performs random system calls in a directory that is its own, and knows what each must answer.
//
// # Model
//
// A Writer draws an operation, a place and the rest from a seeded source, asks package model what must come of it, performs
// it, compares the errno, and then has the effect on the model. So the sequence depends on the seed alone. Every so often it
// looks at a file, a listing or a descriptor that it holds, and compares; at the end it compares the whole tree.
//
// It works in two trees of the origin at a time, and in one that it made. After an epoch it goes on to the next ones, so that
// there are files and directories of the lower layer to copy up, rename and remove for as long as it runs.
//
// # What it finds
//
// An effect that was had twice: mkdir, mknod, symlink and link that say EEXIST, unlink, rmdir and rename that say ENOENT, an
// exchange that is undone. One that was never had, or lost afterwards: by the next look, or at the end.
//
// # Cuts
//
// If the mount may go away (worker.Job.Cuts), ENOTCONN ends no run. The call that was cut off has had its effect or not, and
// every one before it has: with the next mount the tree must be one of the two, and the writer goes on from there.
package writer
