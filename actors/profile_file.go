package actors

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/antares-actor/antares-actor/internal/object"
)

// A profile's file is gzip over: profileMagic, the id of the mount's root, and for each entry a byte of its kind and age, the
// object's id, how many bytes of the path are those of the entry before, how many more there are, and these. Numbers are
// uvarints. Gzip's checksum finds damage.
const profileMagic = "antares profile 1\n"

var errProfile = errors.New("damaged profile")

func writeProfile(path string, root object.ID, all []profileUse) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".profile")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriter(f)
	z := gzip.NewWriter(buffered)
	_, written := z.Write(encodeProfile(root, all))
	err = errors.Join(written, z.Close(), buffered.Flush(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// encodeProfile stops where the bytes would be too many.
func encodeProfile(root object.ID, all []profileUse) []byte {
	b := append([]byte(profileMagic), root[:]...)
	last := ""
	for _, u := range all {
		if len(b)+len(u.Path)+64 > profileBytes {
			break
		}
		same := 0
		for same < min(len(last), len(u.Path)) && last[same] == u.Path[same] {
			same++
		}
		b = append(b, byte(u.Kind)<<4|u.Age)
		b = append(b, u.ID[:]...)
		b = binary.AppendUvarint(b, uint64(same))
		b = binary.AppendUvarint(b, uint64(len(u.Path)-same))
		b = append(b, u.Path[same:]...)
		last = u.Path
	}
	return b
}

func readProfile(r io.Reader) (root object.ID, all []profileUse, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return root, nil, err
	}
	b, err := io.ReadAll(io.LimitReader(z, profileBytes+1))
	if err != nil {
		return root, nil, err
	}
	if len(b) > profileBytes {
		return root, nil, fmt.Errorf("%w: more than %d bytes", errProfile, profileBytes)
	}
	return decodeProfile(b)
}

func decodeProfile(b []byte) (root object.ID, all []profileUse, err error) {
	head := len(profileMagic) + len(root)
	if len(b) < head || string(b[:len(profileMagic)]) != profileMagic {
		return root, nil, fmt.Errorf("%w: no profile of this version", errProfile)
	}
	copy(root[:], b[len(profileMagic):])
	b = b[head:]
	last := ""
	for len(b) > 0 {
		u, rest, err := decodeUse(b, last)
		if err != nil || len(all) == profileMost {
			return root, nil, fmt.Errorf("%w: entry %d", errProfile, len(all))
		}
		all = append(all, u)
		b, last = rest, u.Path
	}
	return root, all, nil
}

func decodeUse(b []byte, last string) (u profileUse, rest []byte, err error) {
	if len(b) < 1+len(u.ID) {
		return u, nil, errProfile
	}
	u.Kind, u.Age = profileKind(b[0]>>4), b[0]&15
	copy(u.ID[:], b[1:])
	b = b[1+len(u.ID):]
	same, n := binary.Uvarint(b)
	if n <= 0 || same > uint64(len(last)) {
		return u, nil, errProfile
	}
	b = b[n:]
	more, n := binary.Uvarint(b)
	if n <= 0 || more > uint64(len(b)-n) || u.Kind > profileRead {
		return u, nil, errProfile
	}
	u.Path = last[:same] + string(b[n:n+int(more)])
	return u, b[n+int(more):], nil
}
