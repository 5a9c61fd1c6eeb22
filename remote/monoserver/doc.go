// Package monoserver is a small Mega-compatible server: the read routes of Mega's mono API that file systems use, over a
// git repository on disk. It is what `antares-actor mono` runs, and what the tests of everything that reads from a Mega
// server talk to.
//
// # Compatibility
//
// Answers keep Mega's statuses, envelope and oddities, since clients depend on them and ours has to survive them:
//
//	GET /api/v1/tree/content-hash   one directory's names, types and ids; a path that is missing or a file gives 200 and []
//	GET /api/v1/tree/dir-hash       one directory's own id as a list of one; [] for "/" and for what is no directory
//	GET /api/v1/tree                one directory's names, and those of the directories above it
//	GET /api/v1/file/blob/{oid}     a blob's bytes (HEAD too); a Range is ignored; an id that is not hex is a 500
//	GET /api/v1/file/tree           the head's raw tree object; 200 and no bytes when missing or not the oid asked for
//	GET /api/v1/latest-commit       the commit that last changed a path; "/" is the head; no envelope
//	GET /api/v1/cl/{link}/files-list   what a changelist does to which file, in no order; 404 if there is none
//	GET /api/v1/status, GET /       "http ready"
//	POST /info/lfs/objects/batch    where Git LFS objects are; each field of the request is required, as by Mega
//	GET /info/lfs/objects/{oid}     an object's bytes, without a length; both also under / and /api/v1/lfs
//
// On the tree routes every error is a 500 with the same message, an unknown `refs` included. `refs` is empty (the head), a
// commit id of 40 hex digits, or a tag.
//
// # As a test's server
//
// All of these may be called at any time, and hold for each request that comes later:
//
//	s := monoserver.New(repo, log)                                      // an http.Handler
//	s.SetHead(ctx, "v2")                                                // the head moves
//	s.AddChangelist(ctx, monoserver.Changelist{Link: "CL1", Rev: "v1..v2", Path: "project"})
//	s.Faults().Add(fault.Rule{Route: "/file/blob/", Count: 2, Fault: fault.Status(503)})
//	s.AddFault(ctx, spec)                                               // the same in words, as JSON has them
//	s.SetQuirks(monoserver.Quirks{Imports: []monoserver.Import{{Path: "/third-party/foo"}}})
//	s.ServeLFS(dir)
//	s.Traffic()["/api/v1/file/blob/{oid}"].Objects[id]                  // how often this blob was asked for
//
// Control lets another process do the same by HTTP.
//
// A changelist is settled when it is added, from two commits or from a patch. What it lists is what Mega would: files by
// content alone, so a change of mode is none; a rename with old_path and similarity and no entry for the old path; a
// submodule as a file whose id is no blob. Renames are git's (-M), and above 1,000 files that came or went only exact ones.
//
// With Quirks.SHA256 all ids are those that the same files have in git's SHA-256 format, which takes reading everything below a
// directory once to list it.
//
// # Ownership and failure
//
// The repository stays its caller's, who closes it after the last request. Nothing is written to it: the blobs that a patch
// makes are held in memory. The server follows the repository's HEAD until SetHead, and resolves the head once for each
// request. Directories are kept in memory, up to 64 MiB of them. Counters and faults are the server's own.
//
// A blob that cannot be read to its end breaks the connection, so that no client takes the part for the whole.
// The server does not authenticate anybody: bind it to the loopback address unless everybody may read the repository.
package monoserver
