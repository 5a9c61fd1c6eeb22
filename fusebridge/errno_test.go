package fusebridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/layer"
	"github.com/antares-actor/antares-actor/internal/tree"
)

func TestStatus(t *testing.T) {
	wrap := func(errs ...error) error { return fmt.Errorf("op: %w", errors.Join(errs...)) }
	for what, tt := range map[string]struct {
		err  error
		want syscall.Errno
	}{
		"no error":                               {nil, 0},
		"an errno":                               {syscall.ENOTEMPTY, syscall.ENOTEMPTY},
		"an errno in a sentence":                 {fmt.Errorf("upper: rename x: %w", syscall.EXDEV), syscall.EXDEV},
		"an errno deep in others":                {wrap(io.ErrUnexpectedEOF, fmt.Errorf("x: %w", syscall.ENOSPC)), syscall.ENOSPC},
		"trouble at the origin":                  {wrap(actors.ErrOrigin), syscall.EIO},
		"an origin that refuses connections":     {wrap(actors.ErrOrigin, syscall.ECONNREFUSED), syscall.EIO},
		"an origin that lacks a file of its own": {wrap(syscall.ENOENT, actors.ErrOrigin), syscall.EIO},
		"a panic":                                {actors.ErrPanic, syscall.EIO},
		"a directory that a switch left behind":  {wrap(syscall.ENOENT, actors.ErrBehind), syscall.EIO},
		"an interrupt":                           {wrap(actors.ErrInterrupted), syscall.EINTR},
		"an unknown number":                      {actors.ErrStale, syscall.ESTALE},
		"a mount that stops":                     {actors.ErrStopped, syscall.ENOTCONN},
		"a crowded directory":                    {wrap(tree.ErrCrowded), syscall.ENOSPC},
		"a file that vanished from upper":        {fmt.Errorf("%w: a/b", layer.ErrLost), syscall.EIO},
		"what nobody thought of":                 {io.ErrClosedPipe, syscall.EIO},
		"a context's end":                        {context.Canceled, syscall.EIO},
		"not implemented below":                  {syscall.ENOSYS, syscall.EOPNOTSUPP},
		"not implemented, in a sentence":         {wrap(syscall.ENOSYS), syscall.EOPNOTSUPP},
	} {
		if got := status(tt.err); got != fuse.Status(tt.want) {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
}

// The kernel never sends an operation again that was answered ENOSYS once.
func TestNoErrorBecomesENOSYS(t *testing.T) {
	for e := syscall.Errno(1); e < 200; e++ {
		for _, err := range []error{e, fmt.Errorf("x: %w", e)} {
			if status(err) == fuse.ENOSYS {
				t.Errorf("%v is answered by ENOSYS", e)
			}
		}
	}
	for _, row := range table {
		if row.errno == syscall.ENOSYS || row.errno == 0 {
			t.Errorf("%v is answered by %v", row.err, row.errno)
		}
	}
}

func TestWhatLinuxRefusesIsRefused(t *testing.T) {
	var r raw
	for what, got := range map[string]fuse.Status{
		"ioctl": r.Ioctl(nil, nil, nil, nil, nil), "getlk": r.GetLk(nil, nil, nil), "setlk": r.SetLk(nil, nil), "setlkw": r.SetLkw(nil, nil),
	} {
		if got == fuse.ENOSYS || got == fuse.OK {
			t.Errorf("%s: %v", what, got)
		}
	}
	for what, got := range map[string]fuse.Status{
		"open": r.Open(nil, nil, nil), "opendir": r.OpenDir(nil, nil, nil), "create": r.Create(nil, nil, "", nil),
		"flush": r.Flush(nil, nil), "access": r.Access(nil, nil),
	} {
		if got != fuse.ENOSYS {
			t.Errorf("%s: %v, want ENOSYS: the mode is stateless", what, got)
		}
	}
	for _, name := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
		if _, got := r.GetXAttr(nil, nil, name, nil); got != fuse.Status(syscall.EOPNOTSUPP) {
			t.Errorf("get %s: %v", name, got)
		}
		if got := r.SetXAttr(nil, nil, name, nil); got != fuse.Status(syscall.EOPNOTSUPP) {
			t.Errorf("set %s: %v", name, got)
		}
		if got := r.RemoveXAttr(nil, nil, name); got != fuse.Status(syscall.EOPNOTSUPP) {
			t.Errorf("remove %s: %v", name, got)
		}
	}
}
