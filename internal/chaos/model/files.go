package model

import "golang.org/x/sys/unix"

// Write is pwrite: it fills what is between the end and the offset with zeros.
func Write(n *Node, at int, data []byte) Effect {
	return func() {
		n.grow(at + len(data))
		copy(n.Data[at:], data)
		n.Mtime = 0
	}
}

// WriteSome is a Write that somebody cut off after some bytes.
func WriteSome(n *Node, at int, data []byte, some int) Effect {
	return Write(n, at, data[:some])
}

// Resize is ftruncate.
func Resize(n *Node, size int) Effect {
	return func() {
		if size < len(n.Data) {
			n.Data = n.Data[:size:size]
		}
		n.grow(size)
		n.Mtime = 0
	}
}

// Truncate is truncate.
func Truncate(p Place, size int) (unix.Errno, Effect) {
	switch n := p.Node(); {
	case n == nil:
		return unix.ENOENT, nil
	case n.IsDir():
		return unix.EISDIR, nil
	case !n.IsFile():
		return unix.EINVAL, nil
	default:
		return 0, Resize(n, size)
	}
}

// Allocate is fallocate without flags.
func Allocate(n *Node, at, length int) Effect {
	return func() {
		n.grow(at + length)
		n.Mtime = 0
	}
}

// Punch is fallocate with FALLOC_FL_PUNCH_HOLE.
func Punch(n *Node, at, length int) Effect {
	return func() {
		for i := at; i < min(at+length, len(n.Data)); i++ {
			n.Data[i] = 0
		}
		n.Mtime = 0
	}
}

// Chmod is chmod of what is not a symbolic link.
func Chmod(p Place, mode uint32) (unix.Errno, Effect) {
	n := p.Node()
	if n == nil {
		return unix.ENOENT, nil
	}
	return 0, func() { n.Mode = mode }
}

// SetTime is utimensat.
func SetTime(p Place, seconds int64) (unix.Errno, Effect) {
	n := p.Node()
	if n == nil {
		return unix.ENOENT, nil
	}
	return 0, func() { n.Mtime = seconds }
}

// SetXattr is lsetxattr with no flags, XATTR_CREATE or XATTR_REPLACE, of a name that begins with "user.".
func SetXattr(p Place, name, value string, flags int) (unix.Errno, Effect) {
	n := p.Node()
	if n == nil {
		return unix.ENOENT, nil
	}
	if !n.IsFile() && !n.IsDir() {
		return unix.EPERM, nil
	}
	_, there := n.Xattrs[name]
	switch {
	case there && flags == unix.XATTR_CREATE:
		return unix.EEXIST, nil
	case !there && flags == unix.XATTR_REPLACE:
		return unix.ENODATA, nil
	}
	return 0, func() {
		if n.Xattrs == nil {
			n.Xattrs = make(map[string]string)
		}
		n.Xattrs[name] = value
	}
}

// RemoveXattr is lremovexattr.
func RemoveXattr(p Place, name string) (unix.Errno, Effect) {
	n := p.Node()
	if n == nil {
		return unix.ENOENT, nil
	}
	if !n.IsFile() && !n.IsDir() {
		return unix.EPERM, nil
	}
	if _, there := n.Xattrs[name]; !there {
		return unix.ENODATA, nil
	}
	return 0, func() { delete(n.Xattrs, name) }
}

// grow makes a file at least so long. Data is never shared with another node.
func (n *Node) grow(size int) {
	if size > len(n.Data) {
		n.Data = append(n.Data, make([]byte, size-len(n.Data))...)
	}
}
