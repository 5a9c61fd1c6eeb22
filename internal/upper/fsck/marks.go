package fsck

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// The two name spaces that overlay attributes are kept in. An overlay uses one of them; in the other one they are its users'.
const (
	trusted = "trusted.overlay."
	user    = "user.overlay."
)

// kernelMarks are the attributes whose values only kernel overlayfs reads.
var kernelMarks = []string{"origin", "impure", "nlink", "upper", "uuid", "metacopy", "protattr", "whiteout", "whiteouts"}

// mark is one overlay attribute of a file.
type mark struct {
	name  string // without the name space
	value []byte
}

// fault says what is wrong with a mark of a file of this type, "" if nothing. harmless says that overlays take no notice of
// a mark with this fault, so that it can be removed.
func (m mark) fault(mode uint32) (text string, harmless bool) {
	isDir := mode&unix.S_IFMT == unix.S_IFDIR
	switch m.name {
	case "opaque":
		if !isDir {
			return "an opaque mark on what is no directory", true
		}
		if v := string(m.value); v != "y" && v != "x" {
			return fmt.Sprintf("an opaque mark of %.20q, which is neither \"y\" nor \"x\"", v), true
		}
	case "redirect":
		if why := redirectFault(m.value); why != "" {
			return fmt.Sprintf("a redirect to %.80q, which %s", m.value, why), false
		}
		if !isDir && mode&unix.S_IFMT != unix.S_IFREG { // kernel overlayfs has them on files without content (metacopy)
			return "a redirect on what is no directory", true
		}
	case "antares.ino":
		if !validNumber(m.value) {
			return fmt.Sprintf("an inode number of %d bytes that is none of ours", len(m.value)), true
		}
	case "antares.links":
		if len(m.value) != 4 {
			return fmt.Sprintf("a link count of %d bytes instead of 4", len(m.value)), true
		}
	}
	return "", false
}

// validNumber tells whether a value is an inode number as tree.EncodeIno writes those of lower files.
func validNumber(value []byte) bool {
	return len(value) == 8 && binary.LittleEndian.Uint64(value)>>62 == 1
}

// redirectFault says why a redirect cannot be followed: it is a path from the lower root, or a name beside the directory.
func redirectFault(value []byte) string {
	switch {
	case len(value) == 0:
		return "is empty"
	case len(value) >= unix.PathMax:
		return "is too long"
	case bytes.IndexByte(value, 0) >= 0:
		return "has a zero byte"
	}
	path := string(value)
	names := []string{path}
	if path[0] == '/' {
		names = strings.Split(path[1:], "/")
	} else if strings.Contains(path, "/") {
		return "is neither a name nor begins with a slash"
	}
	for _, name := range names {
		switch {
		case name == "":
			return "has an empty name in it"
		case name == "." || name == "..":
			return "leads out of the lower layer"
		case len(name) > 255:
			return "has too long a name in it"
		}
	}
	return ""
}
