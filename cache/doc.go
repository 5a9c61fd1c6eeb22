// Package cache keeps the contents of git objects near: what a mount has fetched once it never fetches again.
//
// # Model
//
// A Store maps an object id to a payload (git's bytes without their header), in two tiers:
//
//   - memory: ristretto, bounded in bytes, for objects up to SmallMax. A hit costs no allocation and no system call.
//   - disk: one file per object, objects/ab/cdef…, which holds exactly the payload, so that it can be reflinked by a
//     copy-up and read in place by pread. Large objects live only here.
//
// Blobs, trees and commits share one Store, since their ids cannot collide. The empty blob and the empty tree are always
// present. Several Stores, in one process or in many, may share a directory: a file appears there by rename, complete and
// verified, and is never written again.
//
// # Trust
//
// Content is hashed before it becomes visible, and again whenever the disk tier cannot be taken at its word:
//
//   - a small object, each time it is read from disk into memory;
//   - any object whose file was last changed before this boot of the machine, once; its times are then set to now, which
//     marks it as verified for the rest of this boot;
//   - with Config.Verify, a large object each time that its file is opened.
//
// A file that fails is deleted, logged, and reported as missing: the caller fetches it again. This is why nothing is ever
// fsynced: what a power loss can take or truncate is exactly what the second rule looks at, before even its size is
// believed. A wrong clock at worst verifies too often. Verification on reading does not know the object's kind, so it
// tries blob, tree, large file (object.LFS), and commit.
//
// # Limit
//
// With Config.DiskBytes the objects that were used longest ago are deleted when all take more, down to nine tenths. The access
// time of a file says when it was used last; touch sets it, since a file system may not. It is at most an hour old, and a file
// that was used in the last ten seconds stays whatever the limit says. Processes without a limit count what they put, too.
//
// How much the objects take stands in the file usage: a hint, made exact by each scan. Who scans and deletes holds the
// directory objects flocked.
//
// # Objects that arrive
//
// A large object of known size can be read while it is being put: Await tells when a range has come, ReadArriving reads it
// from the temp file. What is read so is not verified. The last 64 KiB are held back until the whole is, so that nobody reads
// a damaged object to its end. Who got bytes of one is told before Put returns ErrMismatch. A Put whose body breaks off says
// nothing of the bytes that came; the next one for the object hashes as many, and tells if they differ.
//
// # Failure
//
// On a disk that is full the Store first deletes what was used longest ago, as above but without a limit, and tries again.
// A disk that stays full or is broken never fails a read that memory can serve: the Store warns once, counts DiskErrors, and
// keeps what it cannot write in memory, first in first out, up to MemoryBytes more. Only an object larger than that is an
// error then.
//
// Small objects are written behind: PutBytes returns when memory has the object, and one goroutine writes it within two seconds,
// or at once while more than three quarters of MemoryBytes wait. Until then the same memory that serves a full disk holds it,
// since ristretto may drop or refuse what it is given: a reader who comes right after PutBytes always finds it. A process that
// ends without Close loses what waits, which is then fetched again.
//
// Temp files live in a directory of their own for each Store, under tmp/, which its owner holds flocked. Open removes the
// directories that nobody holds: their owners died. A lock says so across containers too, where a pid would not, and the
// kernel drops it however the owner ended.
//
// # Ownership
//
// Slices that are handed in or out are shared with the memory tier and must never be written to. Methods may be called
// concurrently, with Close too: a closed Store still reads small objects from disk, misses large ones, and stores nothing.
package cache
