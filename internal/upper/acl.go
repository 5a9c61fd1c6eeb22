package upper

// The extended attributes that POSIX access control lists are in.
const (
	accessACL = "system.posix_acl_access"
)

// HasACL tells whether more than the mode says who may do what with the file.
func (f *File) HasACL() bool {
	n, err := f.xattr(accessACL, nil)
	return err == nil && n > 0
}
