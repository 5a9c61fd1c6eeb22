package main_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The extended attributes that access control lists are in, and the tags of their entries (linux/posix_acl.h).
const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"

	aclVersion = 2
	noID       = 0xffffffff
)

var aclTags = []struct {
	tag  uint16
	name string
}{{0x01, "u:"}, {0x02, "u:"}, {0x04, "g:"}, {0x08, "g:"}, {0x10, "m:"}, {0x20, "o:"}}

// encodeACL makes the attribute of a text such as "u::rw-,u:1001:r--,g::r--,m::rw-,o::---", in that order.
func encodeACL(text string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for entry := range strings.SplitSeq(text, ",") {
		field := strings.Split(entry, ":")
		tag, id := map[string]uint16{"u": 0x01, "g": 0x04, "m": 0x10, "o": 0x20}[field[0]], uint64(noID)
		if field[1] != "" {
			tag *= 2
			id, _ = strconv.ParseUint(field[1], 10, 32)
		}
		var perm uint16
		for i, bit := range []uint16{4, 2, 1} {
			if field[2][i] != '-' {
				perm |= bit
			}
		}
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, uint32(id))
	}
	return b
}

func decodeACL(b []byte) string {
	if len(b) < 4 || len(b)%8 != 4 {
		return fmt.Sprintf("%x", b)
	}
	var entries []string
	for b = b[4:]; len(b) > 0; b = b[8:] {
		tag, perm, id := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
		entry := ""
		for _, t := range aclTags {
			if t.tag == tag {
				entry = t.name
			}
		}
		if id != noID {
			entry += strconv.FormatUint(uint64(id), 10)
		}
		entry += ":"
		for i, letter := range "rwx" {
			if perm&(4>>i) == 0 {
				letter = '-'
			}
			entry += string(letter)
		}
		entries = append(entries, entry)
	}
	return strings.Join(entries, ",")
}

// aclOf shows a file's mode as stat has it at once, and its access control lists.
func aclOf(path string) string {
	text := modeOf(path)
	for _, name := range []string{accessACL, defaultACL} {
		buf := make([]byte, 4096)
		n, err := unix.Lgetxattr(path, name, buf)
		switch {
		case err == nil:
			text += " " + strings.TrimPrefix(name, "system.posix_acl_") + " " + decodeACL(buf[:n])
		case !errors.Is(err, unix.ENODATA):
			text += " " + err.Error()
		}
	}
	return text
}

func setACL(path, name, text string) error { return unix.Setxattr(path, name, encodeACL(text), 0) }
