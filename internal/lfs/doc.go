// Package lfs shows the files of Git LFS where git has pointers to them.
//
// # Model
//
// A file that Git LFS looks after is in git as a pointer: a blob of three lines with the SHA-256 and the size of the file
// proper. Two decorators put the file in the pointer's place, both under the pointer's id, so that nobody else has to know:
//
//   - Origin wraps an origin. It looks into blobs that may be pointers, and answers with the file's size and bytes instead.
//     The size comes from the pointer; of the file nothing is asked for before somebody reads it.
//   - Content wraps the content store. Pointers are kept as the blobs that they are, files as objects of the kind object.LFS;
//     what is asked or put under a pointer's id is the file.
//
// So a file of Git LFS is a large blob like any other to whoever uses both. A mount without LFS uses neither, and may share
// the store.
//
// # What is a pointer
//
// A pointer is exactly what git-lfs writes: version 1, oid, size, nothing else. Its length is then between minPointer and
// maxPointer bytes, and no blob of another length is looked into. Pointers with extensions stay what they are: the programs
// that undo these are not ours to run. So does what only looks like a pointer. Attributes (.gitattributes) are not looked at,
// nor whether the blob stands for a file or is a symbolic link's target.
//
// # Trust
//
// The pointer is verified by its git id, the file by the pointer's SHA-256 and size when it arrives. When it is read again
// later, the store verifies it by its object id, which is the first 20 bytes of the SHA-256.
//
// # Ownership
//
// Everything is immutable but the set of known pointers, which is a concurrent map and may be forgotten at any time: a pointer
// that is not known is in the store, or is asked for again.
package lfs
