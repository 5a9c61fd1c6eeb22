package fusebridge

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The notifications' codes, from linux/fuse.h.
const (
	notifyInvalInode = 2
	notifyInvalEntry = 3
)

// InvalidateEntry implements actors.Notifier: the kernel forgets the name, or its absence.
func (c *conn) InvalidateEntry(parent uint64, name string) error {
	body := make([]byte, 0, 16+len(name)+1)
	body = binary.NativeEndian.AppendUint64(body, parent)
	body = binary.NativeEndian.AppendUint32(body, uint32(len(name)))
	body = binary.NativeEndian.AppendUint32(body, 0) // flags
	body = append(append(body, name...), 0)
	return c.notify(notifyInvalEntry, body)
}

// InvalidateInode implements actors.Notifier: the kernel forgets the attributes and the cached content.
func (c *conn) InvalidateInode(ino uint64) error {
	body := make([]byte, 0, 24)
	body = binary.NativeEndian.AppendUint64(body, ino)
	body = binary.NativeEndian.AppendUint64(body, 0) // from the start
	body = binary.NativeEndian.AppendUint64(body, 0) // to the end
	return c.notify(notifyInvalInode, body)
}

// notify writes one message: a reply's header with the code in place of the error, and no request. That the kernel does not
// know the inode or the name (ENOENT) is as good as having it forgotten.
func (c *conn) notify(code uint32, body []byte) error {
	msg := make([]byte, 0, replySize+len(body))
	msg = binary.NativeEndian.AppendUint32(msg, uint32(replySize+len(body)))
	msg = binary.NativeEndian.AppendUint32(msg, code)
	msg = binary.NativeEndian.AppendUint64(msg, 0)
	err := c.transport.notify(append(msg, body...))
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("notify %d: %w", code, err)
}
