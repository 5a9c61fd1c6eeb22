package fusebridge

import (
	"encoding/binary"
	"fmt"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

// idMap translates between the ids that the layers have and those that users of the mount see. Layers, and so copy-up, always
// have their own; only what comes from and goes to the kernel is translated. The zero value translates nothing. Immutable.
type idMap struct{ uids, gids []actors.IDRange }

// rawID, the inverse of actors.ShownID, returns the layer's id for one that users see. EOVERFLOW if it has none, as for idmapped mounts.
func rawID(ranges []actors.IDRange, id uint32) (uint32, error) {
	if ranges == nil {
		return id, nil
	}
	for _, r := range ranges {
		if id >= r.Shown && id-r.Shown < r.Count {
			return r.Layer + (id - r.Shown), nil
		}
	}
	return 0, fmt.Errorf("id %d: %w", id, unix.EOVERFLOW)
}

// shown translates attributes on their way to the kernel.
func (m *idMap) shown(a *tree.Attr) {
	a.UID, a.GID = actors.ShownID(m.uids, a.UID), actors.ShownID(m.gids, a.GID)
}

// caller is who waits, where it may matter who that is.
func (m *idMap) caller(cancel <-chan struct{}, h *fuse.InHeader) actors.Caller {
	who := caller(cancel, h)
	who.UIDs, who.GIDs = m.uids, m.gids
	return who
}

// birth translates the owner of a file to be made.
func (m *idMap) birth(b *upper.Birth) (err error) {
	if b.UID, err = rawID(m.uids, b.UID); err == nil {
		b.GID, err = rawID(m.gids, b.GID)
	}
	return err
}

// change translates a change of owner.
func (m *idMap) change(c *actors.AttrChange) error {
	for _, p := range []struct {
		id     *uint32
		ranges []actors.IDRange
	}{{c.UID, m.uids}, {c.GID, m.gids}} {
		if p.id == nil {
			continue
		}
		id, err := rawID(p.ranges, *p.id)
		if err != nil {
			return err
		}
		*p.id = id
	}
	return nil
}

// A POSIX ACL's value is a version of four bytes, then entries of two bytes tag, two bytes permissions, four bytes id
// (linux/posix_acl_xattr.h).
const (
	aclHeader, aclEntry = 4, 8
	aclUser, aclGroup   = 0x02, 0x08 // the tags of entries with an id
)

// acl translates the ids in an ACL's value in place. Values that are no ACLs stay as they are: upper refuses them.
func (m *idMap) acl(value []byte, translate func(ranges []actors.IDRange, id uint32) (uint32, error)) error {
	if len(value) < aclHeader {
		return nil
	}
	for e := value[aclHeader:]; len(e) >= aclEntry; e = e[aclEntry:] {
		ranges := m.uids
		switch binary.LittleEndian.Uint16(e) {
		case aclUser:
		case aclGroup:
			ranges = m.gids
		default:
			continue
		}
		id, err := translate(ranges, binary.LittleEndian.Uint32(e[4:]))
		if err != nil {
			return err
		}
		binary.LittleEndian.PutUint32(e[4:], id)
	}
	return nil
}

func showACL(ranges []actors.IDRange, id uint32) (uint32, error) {
	return actors.ShownID(ranges, id), nil
}
