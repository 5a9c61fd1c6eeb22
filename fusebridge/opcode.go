package fusebridge

import (
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// operation is what we know of a FUSE operation without parsing it.
type operation struct {
	name  string
	names int  // offset of the first name behind the header, -1 if it has none
	entry bool // the answer begins with a node id
}

// operations are numbered as in linux/fuse.h.
var operations = [64]operation{
	1: {"LOOKUP", 0, true}, 2: {"FORGET", -1, false}, 3: {"GETATTR", -1, false}, 4: {"SETATTR", -1, false},
	5: {"READLINK", -1, false}, 6: {"SYMLINK", 0, true}, 8: {"MKNOD", 16, true}, 9: {"MKDIR", 8, true},
	10: {"UNLINK", 0, false}, 11: {"RMDIR", 0, false}, 12: {"RENAME", 8, false}, 13: {"LINK", 8, true},
	14: {"OPEN", -1, false}, 15: {"READ", -1, false}, 16: {"WRITE", -1, false}, 17: {"STATFS", -1, false},
	18: {"RELEASE", -1, false}, 20: {"FSYNC", -1, false}, 21: {"SETXATTR", 8, false}, 22: {"GETXATTR", 8, false},
	23: {"LISTXATTR", -1, false}, 24: {"REMOVEXATTR", 0, false}, 25: {"FLUSH", -1, false}, 26: {"INIT", -1, false},
	27: {"OPENDIR", -1, false}, 28: {"READDIR", -1, false}, 29: {"RELEASEDIR", -1, false}, 30: {"FSYNCDIR", -1, false},
	31: {"GETLK", -1, false}, 32: {"SETLK", -1, false}, 33: {"SETLKW", -1, false}, 34: {"ACCESS", -1, false},
	35: {"CREATE", 16, false}, 36: {"INTERRUPT", -1, false}, 37: {"BMAP", -1, false}, 38: {"DESTROY", -1, false},
	39: {"IOCTL", -1, false}, 40: {"POLL", -1, false}, 41: {"NOTIFY_REPLY", -1, false}, 42: {"BATCH_FORGET", -1, false},
	43: {"FALLOCATE", -1, false}, 44: {"READDIRPLUS", -1, false}, 45: {"RENAME2", 16, false}, 46: {"LSEEK", -1, false},
	47: {"COPY_FILE_RANGE", -1, false}, 50: {"SYNCFS", -1, false}, 51: {"TMPFILE", -1, true}, 52: {"STATX", -1, false},
	53: {"COPY_FILE_RANGE_64", -1, false},
}

func operationOf(op uint32) operation {
	if int(op) < len(operations) && operations[op].name != "" {
		return operations[op]
	}
	return operation{name: "OP_" + strconv.FormatUint(uint64(op), 10), names: -1}
}

// recorded are the operations for which the journal may hold an intent: SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, LINK,
// SETXATTR, REMOVEXATTR, RENAME2.
const recorded uint64 = 1<<6 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12 | 1<<13 | 1<<21 | 1<<24 | 1<<45

// counts is how many requests came, by operation and by errno. Atomic.
type counts struct {
	requests [64]atomic.Uint64
	errors   [64][134]atomic.Uint64 // EHWPOISON, 133, is Linux's last errno but its own internal ones
}

func (c *counts) count(op uint32, errno int32) {
	op = min(op, 63)
	c.requests[op].Add(1)
	if errno > 0 {
		c.errors[op][min(errno, 133)].Add(1)
	}
}

// snapshot returns the counts by name; the errors' keys are "LOOKUP EIO".
func (c *counts) snapshot() (requests, errors map[string]uint64) {
	requests, errors = make(map[string]uint64), make(map[string]uint64)
	for op := range c.requests {
		name := operationOf(uint32(op)).name
		if n := c.requests[op].Load(); n > 0 {
			requests[name] = n
		}
		for errno := range c.errors[op] {
			if n := c.errors[op][errno].Load(); n > 0 {
				errors[name+" "+unix.ErrnoName(unix.Errno(errno))] = n
			}
		}
	}
	return requests, errors
}
