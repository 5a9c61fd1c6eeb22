package fusebridge

import (
	"strings"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
)

// The kernel caches a directory's listing in pages, without being asked to: without OPENDIR there is no way to forbid it, and
// we want it, since it makes warm listings free of requests. It appends what a stream reads from us if the stream stands where
// the cache ends, by position, and it lets a stream that it began to read from us go on in the cache when that is whole. Our
// positions so decide which streams can share a cache:
//
//   - A position has the directory's version when the stream began. A stream that began after a change has none in common
//     with one from before it, whose cached listing may lack a name that was there when the later one began.
//   - It has the place in the cache's last page. A stream whose position the kernel does not find in the cache goes on with
//     us, but not if what is cached fills its last page to the byte: the kernel takes that for the end (fuse_readdir_cached,
//     Linux 6.18), and the listing would be cut short. So no listing may end there. The last entry is always "..", and where
//     that would be the last of a page its name gets zero bytes behind it, which nobody sees: names end at the first one.
//   - The position behind ".." is the same in all streams: nothing follows it in any. Whoever gets there completes what
//     another stream has begun and not read to its end, and the kernel drops that if it is older than the last change. Were
//     it left incomplete, the kernel would cache nothing of the directory any more.

const (
	pageSize    = 4096 // of the cache of listings, on x86-64
	direntSize  = 24   // of struct fuse_dirent, without the name
	direntAlign = 8

	versionBits = 16
	placeBits   = 9 // 4096 / 8
)

// position is where a directory stream stands, as the kernel knows it.
type position struct {
	cursor actors.Cursor
	place  int // bytes used of the cache's last page if this stream alone is in it; 0 if it is full
}

func parsePosition(offset uint64) position {
	return position{
		cursor: actors.Cursor{Cookie: offset >> (placeBits + versionBits), Version: uint16(offset)},
		place:  int(offset>>versionBits) & (1<<placeBits - 1) * direntAlign,
	}
}

func (p position) offset() uint64 {
	if p.cursor.Cookie == tree.DotDotCookie {
		return p.cursor.Cookie << (placeBits + versionBits)
	}
	return p.cursor.Cookie<<(placeBits+versionBits) | uint64(p.place/direntAlign)<<versionBits | uint64(p.cursor.Version)
}

// after returns the position behind the next entry, and the entry's name as it must be sent.
func (p position) after(next actors.Cursor, name string) (position, string) {
	place := placeAfter(p.place, name)
	if place == 0 && next.Cookie == tree.DotDotCookie {
		name += strings.Repeat("\x00", direntAlign)
		place = placeAfter(p.place, name)
	}
	return position{cursor: next, place: place}, name
}

// placeAfter does as fuse_add_dirent_to_cache: an entry that does not fit into the page begins the next one.
func placeAfter(place int, name string) int {
	size := (direntSize + len(name) + direntAlign - 1) / direntAlign * direntAlign
	if place+size > pageSize {
		place = 0
	}
	return (place + size) % pageSize
}
