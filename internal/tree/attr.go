package tree

import "golang.org/x/sys/unix"

// Attr is what stat(2) tells of a node.
type Attr struct {
	Ino                 uint64
	Mode                uint32 // type and permission bits
	Nlink               uint32
	UID, GID            uint32
	Rdev                uint64
	Blksize             uint32
	Size                int64 // bytes
	Blocks              int64 // of 512 bytes
	Atime, Mtime, Ctime unix.Timespec
}

// AttrFromStat converts what the upper file system says, under the node's own number.
func AttrFromStat(ino uint64, st *unix.Stat_t) Attr {
	return Attr{
		Ino: ino, Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid, Rdev: st.Rdev,
		Blksize: uint32(st.Blksize), Size: st.Size, Blocks: st.Blocks,
		Atime: st.Atim, Mtime: st.Mtim, Ctime: st.Ctim,
	}
}

// IsDir tells whether mode has a directory's type.
func IsDir(mode uint32) bool { return mode&unix.S_IFMT == unix.S_IFDIR }
