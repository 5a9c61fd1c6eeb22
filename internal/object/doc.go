// Package object knows git's object model as far as a file system needs it: object ids, how they are computed, and the
// binary form of tree objects.
//
// An object's id is the hash of a header that names its kind and its size, followed by its payload (git's "loose object"
// form before compression). Payloads are handled without that header everywhere in this project. Two objects of different
// kinds never share an id, so one store holds them all under the id alone.
//
// Nothing here does I/O, and nothing here trusts its input: names in trees come from a remote and are refused when they
// could escape a directory.
package object
