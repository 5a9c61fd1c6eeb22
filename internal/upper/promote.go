package upper

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Original is what a promotion must reproduce of a lower file.
type Original struct {
	Birth
	Atime, Mtime unix.Timespec
	Mark         []byte  // the node's number, tree.EncodeIno's form; nil for a file that is born in upper
	Xattrs       []Xattr // by the names that users see
}

// Xattr is an extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Staged is a file built in the work directory, not yet visible.
type Staged struct {
	File   *File // the caller's reference
	name   string
	orig   Original
	sealed bool
	fault  error // of sealing, which is not tried again: the kernel tells a failure to write once
}

// Stage builds a copy of o in the work directory, without content. Errors leave nothing behind.
func (s *Store) Stage(o Original) (*Staged, error) {
	b := o.Birth
	if o.Mark != nil {
		b.Mode = s.widened(b.Mode)
	}
	f, name, err := s.build(b)
	if err != nil {
		return nil, err
	}
	st := &Staged{File: f, name: name, orig: o}
	if o.Mark == nil {
		return st, nil
	}
	if err := setXattr(f, s.prefix+inoName, o.Mark, 0); err != nil {
		// user.* attributes exist for files and directories only; without the mark a symbolic link's number changes at the
		// next mount, which its limits say.
		if s.prefix == trustedPrefix || o.Mode&unix.S_IFMT == unix.S_IFREG || o.Mode&unix.S_IFMT == unix.S_IFDIR {
			s.Abandon(st)
			return nil, err
		}
	}
	return st, nil
}

// Seal gives the copy its times, which come last, and makes it durable, content, attributes and marks: the rename that
// follows must not become durable before it. As kernel overlayfs does, it syncs regular files, the empty ones too, and
// directories, but nothing that is volatile or was born in upper. It waits for the disk; Commit does it if it was not called.
func (s *Store) Seal(st *Staged) error {
	if !st.sealed && st.orig.Mark != nil {
		st.sealed, st.fault = true, s.seal(st)
	}
	return st.fault
}

func (s *Store) seal(st *Staged) error {
	if err := s.complete(st); err != nil {
		return err
	}
	if err := st.File.Utimes(st.orig.Atime, st.orig.Mtime); err != nil {
		return err
	}
	if typ := st.orig.Mode & unix.S_IFMT; !s.volatile && (typ == unix.S_IFREG || typ == unix.S_IFDIR) {
		return st.File.Sync(false)
	}
	return nil
}

// complete gives the copy what writing its content would take away again: set-uid and set-gid, where we are not root, and the
// extended attributes, capabilities among them.
func (s *Store) complete(st *Staged) error {
	for _, lists := range []bool{false, true} { // ACLs last: one may take our own right to write
		for _, x := range st.orig.Xattrs {
			if IsACL(x.Name) != lists {
				continue
			}
			err := s.SetXattr(st.File, x.Name, x.Value, 0)
			if err != nil && !dispensable(x.Name, err) {
				return err
			}
		}
	}
	if st.orig.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if st.orig.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		return st.File.Chmod(st.orig.Mode)
	}
	return s.narrow(st.File, st.orig.Mode)
}

// dispensable tells whether a copy may lack an attribute that could not be set. As in overlayfs, an upper file system need
// not know all kinds, but must not lose what the kernel enforces. Without privileges the others cannot be set at all.
func dispensable(name string, err error) bool {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return !strings.HasPrefix(name, "security.") && !strings.HasPrefix(name, "system.posix_acl_")
	case errors.Is(err, unix.EPERM):
		return os.Geteuid() != 0 && !strings.HasPrefix(name, "user.")
	}
	return false
}

// Commit puts the staged file at dir/name, which upper must not have yet, leaving dir's times as they are: nothing
// changed that a user could see.
func (s *Store) Commit(st *Staged, dir *File, name string) error {
	if err := s.Seal(st); err != nil {
		return err
	}
	return keepTimes(dir, func() error {
		if err := unix.Renameat2(s.tmp.fd, st.name, dir.fd, name, unix.RENAME_NOREPLACE); err != nil {
			return wrap("commit "+name, err)
		}
		if st.orig.Mode&unix.S_IFMT != unix.S_IFDIR {
			return nil
		}
		err := s.narrow(st.File, st.orig.Mode)
		if err != nil {
			_ = unix.Renameat2(dir.fd, name, s.tmp.fd, st.name, unix.RENAME_NOREPLACE)
		}
		return err
	})
}

// CommitOrphan puts the staged file aside as the orphan with this number: its node has lost its name.
func (s *Store) CommitOrphan(st *Staged, ino uint64) error {
	if err := s.Seal(st); err != nil {
		return err
	}
	err := unix.Renameat2(s.tmp.fd, st.name, s.orphans.fd, orphanName(ino), unix.RENAME_NOREPLACE)
	if err == nil && st.orig.Mark != nil && st.orig.Mode&unix.S_IFMT == unix.S_IFDIR {
		return s.narrow(st.File, st.orig.Mode)
	}
	return wrap("commit orphan", err)
}

// Abandon removes a staged file that will not be committed, and releases it.
func (s *Store) Abandon(st *Staged) {
	st.File.Release()
	_ = unix.Unlinkat(s.tmp.fd, st.name, removeFlag(st.orig.Mode))
}
