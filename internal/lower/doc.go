// Package lower reads a local directory that serves as a read-only layer of a mount.
//
// The directory may have been the upper of an overlay: whiteouts, opaque directories and redirects mean what they mean to
// kernel overlayfs, and are reported by Scan as package upper reports its own.
//
// # Safety
//
// Every access is relative to the layer's descriptor and resolved beneath it without following symbolic links (openat2), so
// that nothing in the layer can lead out of it. Nobody may change the directory while a mount uses it; what happens then is
// undefined, as for overlayfs, but it stays within the layer.
//
// Errors are Linux's errnos, wrapped with the operation. All methods may be called concurrently.
package lower
