// Package gitrepo is the origin that is a git repository on disk: bare or not, a linked worktree, packed or loose.
//
// # Model
//
// Objects are read from a small pool of long-lived `git cat-file --batch-command` processes, one request at a time each:
// a line goes in, a header and the object's bytes come out. So every storage format that the installed git knows
// (packs, multi-pack indexes, alternates, partial clones, reftables) works here without a line about it, and a request
// costs two pipe crossings. Only names are resolved by a process of their own (rev-parse), since some of them
// (HEAD@{u}) make cat-file exit; ids and the head are not.
//
// # Why cat-file and not go-git
//
// Measured on two cores of a shared cloud machine (git 2.39.5, go-git 5.19.3, Go 1.26) with BenchmarkRepo of this package
// and the same loops over go-git. The repository is one pack of 4 KiB files, mostly deltas; microseconds:
//
//	                        20,000 files          200,000 files
//	                     cat-file   go-git      cat-file   go-git
//	open, pin, root         1,610    2,690         1,670   27,050
//	tree                       49       17            42       17
//	blob                      184      357           297      736
//	blob, both cores           72      427           174      404
//	size of a blob             60       54            61       45
//
// go-git reads a pack's whole index into memory when it opens it, so that mounting would take longer the larger the
// repository is, and unpacks deltas at half the speed. A tree costs it less, but a mount fetches each tree only once.
//
// # Ownership
//
// A process belongs to whoever took it from the pool, from the request's line to the last byte of its answer; then it
// goes back. Answers of up to 1 MiB are read into memory before Blob returns, so that a slow reader does not hold a
// process. Larger ones stream from it, and the pool counts that process as gone: a new one may take its place, and both
// are kept when the stream ends only while there is room. Processes live in their own process group (an interrupt typed
// at a terminal is for the mount, not for them), have / as their directory (so they never keep a mount busy), and die
// with the thread that started them: one goroutine, locked to its thread, starts them all.
//
// # Failure
//
// A process that dies (killed, or on a damaged object) before it has answered is replaced and asked again, once; a
// second death, or one in the middle of a stream, is remote.ErrUnavailable with what git said last. A cancelled request
// leaves at once: what is still in the pipe is read away behind its back, or the process is killed if that is much.
//
// # Trust
//
// The repository's directory is found by this package and handed to git by name, so git's check of who owns it
// (safe.directory) does not apply: whoever names an origin has decided to read it. Replacement refs are off, since they
// would give content that does not match its id, and in a repository of another user no lazy fetch may run, since its
// configuration names the program to run.
//
// Idle processes keep the packs open that they have read: after a repack the old packs' space is free when the
// repository is closed.
package gitrepo
