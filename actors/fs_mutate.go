package actors

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// nameMax is Linux's limit on a name, in bytes.
const nameMax = 255

// Create makes a file of any type. A name of more than 255 bytes is ENAMETOOLONG.
func (f *FS) Create(who Caller, parent uint64, name string, b upper.Birth) (tree.Attr, error) {
	dir, err := f.node(who, parent)
	if err != nil {
		return tree.Attr{}, err
	}
	if len(name) > nameMax {
		return tree.Attr{}, errno("create", unix.ENAMETOOLONG)
	}
	if b.Mode&unix.S_IFMT == unix.S_IFCHR && b.Rdev == 0 {
		return tree.Attr{}, errno("create", unix.EPERM) // it would be a whiteout; overlayfs refuses it the same way
	}
	b.Target = strings.Clone(b.Target) // request memory is only valid until we return
	m := &create{Parent: dir, Name: strings.Clone(name), Birth: b}
	return f.made(who, dir.Owner, m)
}

// made sends a message that makes a node, and counts the kernel's lookup of it.
func (f *FS) made(who Caller, owner *tree.Owner, m request) (tree.Attr, error) {
	if err := f.ask(who, owner, m); err != nil {
		return tree.Attr{}, err
	}
	c := m.call()
	f.core.index.Remember(c.node, who.Request)
	return c.attr, nil
}

// CreateTemp makes a regular file without a name; Link may give it one.
func (f *FS) CreateTemp(who Caller, parent uint64, b upper.Birth) (tree.Attr, error) {
	dir, err := f.node(who, parent)
	if err != nil {
		return tree.Attr{}, err
	}
	return f.made(who, dir.Owner, &createTemp{Parent: dir, Birth: b})
}

// Link gives a file a further name.
func (f *FS) Link(who Caller, ino, parent uint64, name string) (tree.Attr, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return tree.Attr{}, err
	}
	dir, err := f.node(who, parent)
	if err != nil {
		return tree.Attr{}, err
	}
	if len(name) > nameMax {
		return tree.Attr{}, errno("link", unix.ENAMETOOLONG)
	}
	if n.IsDir() {
		return tree.Attr{}, errno("link", unix.EPERM)
	}
	return f.made(who, dir.Owner, &link{Node: n, Parent: dir, Name: strings.Clone(name)})
}

// Remove is unlink, or rmdir if dir.
func (f *FS) Remove(who Caller, parent uint64, name string, dir bool) error {
	p, err := f.node(who, parent)
	if err != nil {
		return err
	}
	return f.ask(who, p.Owner, &remove{Parent: p, Name: strings.Clone(name), Dir: dir})
}

// Rename is renameat2.
func (f *FS) Rename(who Caller, oldParent uint64, oldName string, newParent uint64, newName string, flags uint32) error {
	from, err := f.node(who, oldParent)
	if err != nil {
		return err
	}
	to, err := f.node(who, newParent)
	if err != nil {
		return err
	}
	if len(newName) > nameMax {
		return errno("rename", unix.ENAMETOOLONG)
	}
	return f.ask(who, from.Owner, &rename{
		OldParent: from, OldName: strings.Clone(oldName), NewParent: to, NewName: strings.Clone(newName), Flags: flags,
	})
}

// Setattr changes attributes and returns the new ones.
func (f *FS) Setattr(who Caller, ino uint64, change AttrChange) (tree.Attr, error) {
	n, err := f.node(who, ino)
	if err != nil {
		return tree.Attr{}, err
	}
	m := &setAttr{Node: n, Who: who, Change: change}
	err = f.ask(who, n.Owner, m)
	return m.attr, err
}

// SetXattr sets an extended attribute; a nil value removes it. dropSetGID clears set-gid, as setting an access ACL does if the
// caller is not in the file's group.
func (f *FS) SetXattr(who Caller, ino uint64, name string, value []byte, flags int, dropSetGID bool) error {
	n, err := f.node(who, ino)
	if err != nil {
		return err
	}
	if s := n.State(); value == nil && s.Where == tree.Lower { // what is not there needs no promotion
		if _, err := f.Xattr(who, ino, name, nil); errors.Is(err, unix.ENODATA) {
			if upper.IsACL(name) {
				return nil // as if it had been there, which is Linux's rule for these
			}
			return err
		}
	}
	return f.ask(who, n.Owner, &setXattr{Node: n, Name: strings.Clone(name), Value: bytes.Clone(value), Flags: flags, DropSetGID: dropSetGID})
}
