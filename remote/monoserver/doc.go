// Package monoserver is a small Mega-compatible server: the read routes of Mega's mono API that file systems use, over a
// git repository on disk. It is what `antares-actor mono` runs, and what the mega driver's tests talk to.
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
//	GET /api/v1/cl/{link}/files-list   404: this server knows no changelists
//	GET /api/v1/status, GET /       "http ready"
//
// On the tree routes every error is a 500 with the same message, an unknown `refs` included. `refs` is empty (the
// repository's HEAD), a commit id of 40 hex digits, or a tag.
//
// # Ownership and failure
//
// A Server holds no state but its counters; the repository stays its caller's, who closes it after the last request.
// A blob that cannot be read to its end breaks the connection, so that no client takes the part for the whole.
// The server does not authenticate anybody: bind it to the loopback address unless everybody may read the repository.
package monoserver
