// Package control lets other processes ask the server of a mount for things: what it shows, and to show something else.
//
// # Model
//
// A server listens on a unix socket of its own (Listen), which speaks HTTP with JSON bodies:
//
//	GET    /v1/mount             Status
//	POST   /v1/mount/switch      {"rev": "..."}            -> Switched
//	PUT    /v1/mount/changelist  {"link": "...", "path": ""} -> Switched
//	DELETE /v1/mount/changelist                            -> Switched
//	POST   /v1/mount/warm        {"patterns": ["..."]}     -> a line of WarmProgress now and then; the last has the outcome
//
// A request lasts as long as what it asks for; who hangs up calls it off, as far as it has not begun.
//
// # Failure
//
// An error is {"error": "..."} with status 400 (what was asked for is wrong or not there: ErrRefused in Client), or 502 (the
// origin, or the server itself: ErrFailed). Nothing has changed then, unless the text says so.
//
// # Trust
//
// The socket's mode is 0600, and the server asks the kernel who is at the other end: root and its own user are let in.
package control
