package fusebridge

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/antares-actor/antares-actor/actors"
	"github.com/antares-actor/antares-actor/internal/tree"
	"github.com/antares-actor/antares-actor/internal/upper"
)

func TestIDsAreTranslatedBothWays(t *testing.T) {
	m := idMap{
		uids: []actors.IDRange{{Layer: 0, Shown: 100_000, Count: 10}, {Layer: 1000, Shown: 5, Count: 1}},
		gids: []actors.IDRange{{Layer: 7, Shown: 7, Count: 1}},
	}
	for layer, shown := range map[uint32]uint32{0: 100_000, 9: 100_009, 10: actors.OverflowID, 999: actors.OverflowID, 1000: 5, 1001: actors.OverflowID} {
		a := tree.Attr{UID: layer, GID: 7}
		if m.shown(&a); a.UID != shown || a.GID != 7 {
			t.Errorf("%d shows as %d:%d, want %d:7", layer, a.UID, a.GID, shown)
		}
		if shown == actors.OverflowID {
			continue
		}
		b := upper.Birth{UID: shown, GID: 7}
		if err := m.birth(&b); err != nil || b.UID != layer {
			t.Errorf("%d is made as %d, %v, want %d", shown, b.UID, err, layer)
		}
	}
	stranger := uint32(0)
	if err := m.change(&actors.AttrChange{UID: &stranger}); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("an owner that no layer has: %v", err)
	}
	if err := m.birth(&upper.Birth{UID: 5, GID: 8}); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("a group that no layer has: %v", err)
	}
}

func TestWithoutAMapIDsStayAsTheyAre(t *testing.T) {
	var m idMap
	a := tree.Attr{UID: 4_000_000_000, GID: 1}
	m.shown(&a)
	uid := a.UID
	if err := m.change(&actors.AttrChange{UID: &uid}); err != nil || uid != 4_000_000_000 || a.GID != 1 {
		t.Errorf("%d:%d, %d, %v", a.UID, a.GID, uid, err)
	}
}

func TestIDsInACLsAreTranslated(t *testing.T) {
	m := idMap{uids: []actors.IDRange{{Layer: 1, Shown: 2, Count: 1}}, gids: []actors.IDRange{{Layer: 1, Shown: 3, Count: 1}}}
	inLayer := []byte{2, 0, 0, 0 /* owner */, 1, 0, 6, 0, 255, 255, 255, 255 /* user 1 */, 2, 0, 4, 0, 1, 0, 0, 0 /* group 1 */, 8, 0, 4, 0, 1, 0, 0, 0}
	value := bytes.Clone(inLayer)
	if err := m.acl(value, showACL); err != nil || value[16] != 2 || value[24] != 3 || !bytes.Equal(value[4:12], inLayer[4:12]) {
		t.Errorf("%v, %v", value, err)
	}
	if err := m.acl(value, rawID); err != nil || !bytes.Equal(value, inLayer) {
		t.Errorf("%v, %v, want %v again", value, err, inLayer)
	}
	if err := m.acl(value, rawID); !errors.Is(err, unix.EOVERFLOW) {
		t.Errorf("user 1 is none of ours: %v", err)
	}
	for _, short := range [][]byte{nil, {2}, {2, 0, 0, 0, 2, 0}} {
		if err := m.acl(short, rawID); err != nil {
			t.Errorf("%v: %v", short, err)
		}
	}
}
