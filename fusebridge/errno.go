package fusebridge

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// table maps our errors to errnos. The first match counts, before any errno that an error wraps: trouble at the origin is
// EIO whatever the network said.
var table = []struct {
	err   error
	errno syscall.Errno
}{
	{actors.ErrOrigin, syscall.EIO},
	{actors.ErrBehind, syscall.EIO},
	{actors.ErrPanic, syscall.EIO},
	{actors.ErrInterrupted, syscall.EINTR},
	{actors.ErrStale, syscall.ESTALE},
	{actors.ErrStopped, syscall.ENOTCONN},
	{tree.ErrCrowded, syscall.ENOSPC},
}

// status is the one place where errors become errnos. What is in no table and wraps no errno is EIO.
func status(err error) fuse.Status {
	if err == nil {
		return fuse.OK
	}
	if e, ok := err.(syscall.Errno); ok { //nolint:errorlint // the common case, without a walk
		return known(e)
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return fuse.Status(row.errno)
		}
	}
	var e syscall.Errno
	if errors.As(err, &e) {
		return known(e)
	}
	return fuse.EIO
}

// known keeps ENOSYS from the kernel, which would never send the operation again.
func known(e syscall.Errno) fuse.Status {
	if e == syscall.ENOSYS {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return fuse.Status(e)
}
