package tree

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/antares-actor/antares-actor/internal/object"
)

// RootIno is the number of a mount's root, fixed by the FUSE protocol.
const RootIno uint64 = 1

// Numbers come from three places that cannot meet, told apart by two high bits. Bit 63 stays clear: st_ino is signed in
// some programs.
//
//	01hhhh…  a file of the origin: hash of its path there. Same path, same number, in each mount and after each restart.
//	001ssss… a file born in upper: its number in the upper file system, which is unique and stable there.
//	copied up: keeps the origin's number, recorded in an extended attribute of the upper file.
const (
	lowerBit uint64 = 1 << 62
	upperBit uint64 = 1 << 61
)

// LowerIno returns the number of the origin's file at path (slash separated, no leading slash; "" is the root). Two paths
// meet with a probability of 2^-62 a pair.
func LowerIno(path string) uint64 { return lowerBit | xxhash.Sum64String(path)&(lowerBit-1) }

// LowerChildIno is LowerIno(dir + "/" + name) without building that string.
func LowerChildIno(dir, name string) uint64 {
	var d xxhash.Digest
	d.Reset()
	if dir != "" {
		_, _ = d.WriteString(dir)
		_, _ = d.WriteString("/")
	}
	_, _ = d.WriteString(name)
	return lowerBit | d.Sum64()&(lowerBit-1)
}

// VersionIno returns the number of what the origin has at a path, whose number is ino, while the kernel still knows that number
// as something else that a mount showed there: id is what is there now.
func VersionIno(ino uint64, id object.ID) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(ino)
	_, _ = d.Write(id[:])
	return lowerBit | d.Sum64()&(lowerBit-1)
}

// NearIno returns the i-th of the numbers that take the place of a lower one that is taken.
func NearIno(ino, i uint64) uint64 { return lowerBit | (ino+i<<48)&(lowerBit-1) }

// UpperIno returns the number of a file born in upper whose number in the upper file system is st.
func UpperIno(st uint64) uint64 { return upperBit | st&(upperBit-1) }

// EncodeIno is the form in which a copied-up file carries its number: eight bytes, little endian.
func EncodeIno(ino uint64) []byte { return binary.LittleEndian.AppendUint64(nil, ino) }

// DecodeIno reads EncodeIno's form; ok is false for anything that is not the number of an origin's file.
func DecodeIno(b []byte) (ino uint64, ok bool) {
	if len(b) != 8 {
		return 0, false
	}
	ino = binary.LittleEndian.Uint64(b)
	return ino, ino&lowerBit != 0 && ino>>63 == 0
}

// LinkIno returns the number of a file with several names in a local lower layer: its number there, which all of them have.
func LinkIno(layer int, dev, ino uint64) uint64 {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], uint64(layer))
	binary.LittleEndian.PutUint64(b[8:], dev)
	binary.LittleEndian.PutUint64(b[16:], ino)
	return lowerBit | xxhash.Sum64(b[:])&(lowerBit-1)
}
