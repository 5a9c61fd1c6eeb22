// Package fsck looks for damage in an upper directory and its work directory, and mends what can be mended without a guess.
//
// # Model
//
// Check locks the two directories as a mount does, walks them once, and then judges: each Problem is one name with what is
// wrong, a remedy, and for some a mend. Mends run after the walk, in the order of the report. A mend never changes what an
// overlay over the same lower layers shows, but for a file's inode number where two files claimed one.
//
// What cannot be told without the lower layers (redirects that lead nowhere, whiteouts that cover nothing) is looked for
// only if they are given, and looked up as a mount does. They are believed: a wrong one, or an origin below them that nobody
// told of, makes sound whiteouts look needless.
//
// # What it knows
//
// Our format (package upper) and that of kernel overlayfs, whose uppers are clean; in the work directory tmp, orphans, lock,
// links, and kernel overlayfs's work and index. Other names there are information, not damage.
//
// # Safety
//
// Every access is relative to a directory descriptor and follows no symbolic link. Without Repair nothing is changed.
package fsck
