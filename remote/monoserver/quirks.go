package monoserver

// Quirks are oddities of real Mega servers that this one has only when told. The zero value has none.
type Quirks struct {
	// SHA1Prefix writes "sha1:" before the ids of changed files.
	SHA1Prefix bool `json:"sha1_prefix,omitempty"`
	// SHA256 has ids of 64 digits, as a repository of git's SHA-256 format has.
	SHA256 bool `json:"sha256,omitempty"`
	// LFSBase stands before an object's id in the address to download it from, in place of this server's own, as with an
	// object store that has addresses of its own.
	LFSBase string `json:"lfs_base,omitempty"`
	// Imports are directories that are repositories of their own.
	Imports []Import `json:"imports,omitempty"`
}

// Quirks returns those that the server has.
func (s *Server) Quirks() Quirks { return *s.quirks.Load() }

// SetQuirks replaces them.
func (s *Server) SetQuirks(q Quirks) { s.quirks.Store(&q) }
