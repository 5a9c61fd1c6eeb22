package model

import "golang.org/x/sys/unix"

// Effect is what a call that succeeds does to the tree; nil if it fails.
type Effect func()

// Make is mknod, mkdir and symlink, link of a file without a name, and open with O_CREAT and O_EXCL.
func Make(p Place, n *Node) (unix.Errno, Effect) {
	if p.Node() != nil {
		return unix.EEXIST, nil
	}
	return 0, func() { p.Add(n) }
}

// Link is link.
func Link(from, to Place) (unix.Errno, Effect) {
	n := from.Node()
	switch {
	case n == nil:
		return unix.ENOENT, nil
	case to.Node() != nil:
		return unix.EEXIST, nil
	case n.IsDir():
		return unix.EPERM, nil
	}
	return 0, func() {
		n.Links++
		to.put(n)
	}
}

// Unlink is unlink.
func Unlink(p Place) (unix.Errno, Effect) {
	n := p.Node()
	switch {
	case n == nil:
		return unix.ENOENT, nil
	case n.IsDir():
		return unix.EISDIR, nil
	}
	return 0, func() { p.take() }
}

// Rmdir is rmdir.
func Rmdir(p Place) (unix.Errno, Effect) {
	n := p.Node()
	switch {
	case n == nil:
		return unix.ENOENT, nil
	case !n.IsDir():
		return unix.ENOTDIR, nil
	case len(n.Entries) > 0:
		return unix.ENOTEMPTY, nil
	}
	return 0, func() { p.take() }
}

func (p Place) take() {
	p.Node().Links--
	delete(p.Dir.Entries, p.Name)
}

// Rename is renameat2 with no flags, RENAME_NOREPLACE or RENAME_EXCHANGE.
func Rename(from, to Place, flags uint) (unix.Errno, Effect) {
	if errno := mayRename(from, to, flags); errno != 0 {
		return errno, nil
	}
	source, target := from.Node(), to.Node()
	return 0, func() {
		switch {
		case source == target: // two names of one file: nothing happens
		case flags&unix.RENAME_EXCHANGE != 0:
			from.put(target)
			to.put(source)
		default:
			if target != nil {
				to.take()
			}
			delete(from.Dir.Entries, from.Name)
			to.put(source)
		}
	}
}

// mayRename looks in the order of do_renameat2 and vfs_rename.
func mayRename(from, to Place, flags uint) unix.Errno {
	source, target := from.Node(), to.Node()
	exchange := flags&unix.RENAME_EXCHANGE != 0
	switch {
	case source == nil:
		return unix.ENOENT
	case target != nil && flags&unix.RENAME_NOREPLACE != 0:
		return unix.EEXIST
	case target == nil && exchange:
		return unix.ENOENT
	case source.IsDir() && to.Dir.Within(source):
		return unix.EINVAL
	case target != nil && target.IsDir() && from.Dir.Within(target):
		if exchange {
			return unix.EINVAL
		}
		return unix.ENOTEMPTY
	case target == nil, source == target, exchange:
		return 0
	case source.IsDir() && !target.IsDir():
		return unix.ENOTDIR
	case !source.IsDir() && target.IsDir():
		return unix.EISDIR
	case len(target.Entries) > 0:
		return unix.ENOTEMPTY
	}
	return 0
}
