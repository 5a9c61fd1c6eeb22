package fusebridge

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A notification is a reply to nobody: length, code in place of the error, no request; then the kernel's structure.
func TestNotificationsOnTheWire(t *testing.T) {
	var pipe [2]int
	check(t, unix.Pipe(pipe[:]))
	defer func() { check(t, unix.Close(pipe[0])) }()
	c := &conn{transport: &transport{fd: pipe[1]}}
	buf := make([]byte, 200)

	check(t, c.InvalidateEntry(7, "name"))
	n, err := unix.Read(pipe[0], buf)
	check(t, err)
	e := binary.NativeEndian
	if n != 16+16+5 || e.Uint32(buf) != uint32(n) || e.Uint32(buf[4:]) != 3 || e.Uint64(buf[8:]) != 0 {
		t.Errorf("header % x", buf[:16])
	}
	if e.Uint64(buf[16:]) != 7 || e.Uint32(buf[24:]) != 4 || e.Uint32(buf[28:]) != 0 || string(buf[32:n]) != "name\x00" {
		t.Errorf("body % x", buf[16:n])
	}

	check(t, c.InvalidateInode(9))
	n, err = unix.Read(pipe[0], buf)
	check(t, err)
	if n != 16+24 || e.Uint32(buf[4:]) != 2 || e.Uint64(buf[16:]) != 9 || e.Uint64(buf[24:]) != 0 || e.Uint64(buf[32:]) != 0 {
		t.Errorf("% x", buf[:n])
	}
	c.transport.close()
}

// The descriptor's number belongs to another file as soon as it is closed.
func TestNoNotificationAfterTheEnd(t *testing.T) {
	var first, second [2]int
	check(t, errors.Join(unix.Pipe(first[:]), unix.Pipe2(second[:], unix.O_NONBLOCK)))
	c := &conn{transport: &transport{fd: first[1]}}
	c.transport.close()
	again, err := unix.FcntlInt(uintptr(second[1]), unix.F_DUPFD_CLOEXEC, first[1])
	check(t, err)
	if err := c.InvalidateInode(9); !errors.Is(err, unix.ENODEV) {
		t.Errorf("%v, want ENODEV", err)
	}
	if n, err := unix.Read(second[0], make([]byte, 100)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("%d bytes went to another file: %v", n, err)
	}
	for _, fd := range []int{first[0], second[0], second[1], again} {
		check(t, unix.Close(fd))
	}
}
