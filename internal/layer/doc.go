// Package layer holds the layers that a mount is made of and the rules by which they show as one.
//
//	upper     the writable directory (Passthrough over package upper)
//	local     local directories, read-only (Local over package lower); any number of them are one Layer
//	dicfuse   the monorepo at a pinned commit, read from the content cache
//
// # Completeness
//
// The system that this one follows failed because a layer lacked one method under its new name, and every copy-up answered
// ENOSYS. Here a layer is one interface, Layer; each layer asserts at compile time that it implements it, and passes one
// contract suite (contract_test.go).
//
// # Not here yet
//
// A layer never waits. What Dicfuse has not loaded it reports as ErrNotLoaded; the caller asks the loader for the object
// and tries again. ErrNotLoaded is never shown to a user.
//
// # Merge
//
// Merge is a pure function from a directory's two listings to the one that is shown; the rules of whiteouts and opaque
// directories stand there and nowhere else.
package layer
