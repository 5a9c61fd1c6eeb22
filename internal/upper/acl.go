package upper

import (
	"errors"

	"golang.org/x/sys/unix"
)

// The extended attributes that POSIX access control lists are in. The file system below keeps the access ACL and the mode
// together, and gives to what is made in a directory what its default ACL says; the kernel, which has the ACLs from us, does
// the checking.
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// IsACL tells whether an extended attribute is an access control list.
func IsACL(name string) bool { return name == accessACL || name == defaultACL }

// ACLs tells whether the upper file system has POSIX access control lists.
func (s *Store) ACLs() bool { return s.acls }

func holdsACLs(f *File) bool {
	_, err := f.xattr(accessACL, nil)
	return err == nil || errors.Is(err, unix.ENODATA)
}

// HasACL tells whether more than the mode says who may do what with the file.
func (f *File) HasACL() bool {
	n, err := f.xattr(accessACL, nil)
	return err == nil && n > 0
}

// defaultACL returns what files made in a directory inherit, nil if that is nothing.
func (s *Store) defaultACL(dir *File) ([]byte, error) {
	for s.acls {
		size, err := dir.xattr(defaultACL, nil)
		acl := make([]byte, size)
		if err == nil {
			size, err = dir.xattr(defaultACL, acl)
		}
		switch {
		case errors.Is(err, unix.ENODATA):
			return nil, nil
		case errors.Is(err, unix.ERANGE): // it has grown meanwhile
		default:
			return acl[:size], wrap("default acl", err)
		}
	}
	return nil, nil
}

// dropACLs takes from a directory of ours what it inherited: what is built in it is for other places.
func dropACLs(dir *File) error {
	for _, name := range []string{accessACL, defaultACL} {
		err := unix.Fremovexattr(dir.fd, name)
		if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
			return wrap("remove acl", err)
		}
	}
	return nil
}
