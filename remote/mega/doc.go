// Package mega is the origin that is a Mega server, asked over its HTTP API (/api/v1).
//
// # Model
//
// The API names directories by path and files by object id. It has one route with a directory's modes, /file/tree, which
// answers the head's raw tree object only, and one that can be asked for any commit, /tree/content-hash, which has names
// and ids but no modes: symlinks, submodules and executables are all "file". So a tree is got in two steps:
//
//  1. GET /file/tree. If its bytes hash to the id that the parent directory (or Pin) gave, that is the tree. This is one
//     request, and the only one as long as the head has not moved or the directory is the same in the new head.
//  2. Otherwise GET /tree/content-hash at the pinned commit, and look for the modes with which these names and ids hash to
//     the id: first those that the head's tree of step 1 has for the same names, then all plain files, then every change
//     of one or two modes, and last what the files' first bytes say. The result is as good as a raw tree: the hash
//     proves it. If none fits, the listing is asked for until it comes twice the same, since it may have been damaged on the
//     way, and returned as Derived, with the best guess.
//
// Step 1 leaves out the route's `oid` parameter on purpose: with it a moved head answers nothing, without it the answer
// holds the modes that step 2 needs most.
//
// The root has no parent that gives its id. At the head its raw tree is hashed; both are asked for at once, and both again
// afterwards: had the head moved in between, the tree might belong to another. That is two round trips. At another commit
// nothing proves the root; its listing is asked for twice, and its modes are taken from the head's root by name, and from
// content for new names. A warning is logged then.
//
// # Trust
//
// The server answers 200 and an empty list for what is missing and, on a bad day, for what is not; no tree but the empty one is
// ever believed to be empty, and a root, of which nothing else says whether it is, never. HTML, other content types, broken
// JSON and names that no directory may hold are remote.ErrBadAnswer. A 404 means remote.ErrNotFound only for a blob, and only
// in the API's own envelope: a proxy's error page is none. A blob of up to 64 KiB is verified; a larger one is streamed
// unverified, and the content store hashes it. A changelist's files and the answers of the LFS batch API are refused as a whole
// if one path or address in them is not what it should be. The token goes to the server's own host only, wherever redirects and
// download addresses lead.
//
// # Failure
//
// 5xx, 429, refused and reset connections, and bodies that stop or stall are remote.ErrUnavailable. These requests are tried
// again, five times in all within some two seconds, with jittered exponential waits; a Retry-After lengthens the wait, and
// one longer than anybody waits ends the request. So are answers that were damaged on the way: broken JSON, an empty list for
// what cannot be empty, a small blob with another hash; a root that is empty or no tree;
// and once a listing with entries that make no sense. A blob's body that breaks is asked for again and read on where it broke,
// which its reader does not see: since the server sends no ranges, from the start, as long as each time brings new bytes.
//
// Time limits follow progress and not size: on connecting, on the wait for headers, on a read that brings nothing, and on
// all the time in which nothing came, tries and waits together. So a 10 GiB body that moves never runs into one. A
// changelist's files, for which the server compares whole trees, may take four times as long. A body of up to 64 KiB of which
// nothing comes for 5 s is asked for again, once; from then on it has the time that others have.
//
// An answer later than 95 % of the last 512 (and than a floor) is asked for a second time, and the first of the two counts:
// whole listings and small blobs, and the headers of large ones. Before that it gets 10 ms more: mostly it has come, and this
// process got no processor to read it. In the long run one request in fifty is sent twice at most.
//
// A server that has answered nothing in two seconds and a hundred attempts, or in two minutes and four, is left alone: requests
// fail at once, one a second tries whether it is back. What was half read waits for it.
//
// Failsafe-go has the policies of retry and breaker (policy.go, breaker.go), for one attempt at a time, and from the second one
// on: what it would do on the level of http.RoundTripper ends where a body begins, which is where half of the trouble is. The
// second requests for what is late are ours.
//
// The server ignores the commit for repositories imported below /third-party: there a moved head can show in a
// directory that was not listed before the move, as a Derived tree.
//
// # Ownership
//
// A Client's mutable state is counters, latencies, the breaker and the connection pool; all methods may be called
// concurrently. A blob's body belongs to one reader.
package mega
