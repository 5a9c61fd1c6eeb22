package object

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ErrBadTree reports a payload that is no tree object, or one with a name that a directory cannot hold.
var ErrBadTree = errors.New("malformed tree object")

// Mode is an entry's mode in a tree object. Git writes only the values below; group-writable modes of old
// repositories (100664) are read as ModeFile.
type Mode uint32

// The modes of git's tree entries.
const (
	ModeTree    Mode = 0o040000
	ModeFile    Mode = 0o100644
	ModeExec    Mode = 0o100755
	ModeSymlink Mode = 0o120000
	ModeGitlink Mode = 0o160000 // a submodule: its id names a commit of another repository
)

// Entry is one name in a tree object.
type Entry struct {
	Name string
	Mode Mode
	ID   ID // a tree's, a blob's, or for ModeGitlink a foreign commit's
}

// ParseTree reads a tree object's payload: repeated "<octal mode> SP <name> NUL <20 bytes of id>". Names that are empty,
// ".", "..", hold a slash, exceed 255 bytes or come twice give ErrBadTree.
func ParseTree(payload []byte) ([]Entry, error) {
	var entries []Entry
	seen := make(map[string]struct{}, len(payload)/40)
	for rest := payload; len(rest) > 0; {
		sp := bytes.IndexByte(rest, ' ')
		nul := bytes.IndexByte(rest, 0)
		if sp < 1 || nul < sp || len(rest) < nul+1+len(ID{}) {
			return nil, fmt.Errorf("%w: entry %d is cut short", ErrBadTree, len(entries))
		}
		mode, err := parseMode(string(rest[:sp]))
		if err != nil {
			return nil, err
		}
		e := Entry{Name: string(rest[sp+1 : nul]), Mode: mode}
		if err := CheckName(e.Name); err != nil {
			return nil, err
		}
		if _, twice := seen[e.Name]; twice {
			return nil, fmt.Errorf("%w: name %q comes twice", ErrBadTree, e.Name)
		}
		seen[e.Name] = struct{}{}
		copy(e.ID[:], rest[nul+1:])
		entries = append(entries, e)
		rest = rest[nul+1+len(e.ID):]
	}
	return entries, nil
}

// CheckName refuses names that could escape or confuse a directory; it wraps ErrBadTree.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%w: bad name %q", ErrBadTree, name)
	}
	return nil
}

func parseMode(s string) (Mode, error) {
	v, err := strconv.ParseUint(s, 8, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: mode %q", ErrBadTree, s)
	}
	switch m := Mode(v); m {
	case ModeTree, ModeFile, ModeExec, ModeSymlink, ModeGitlink:
		return m, nil
	default:
		if m&^0o777 == 0o100000 { // old git recorded more permission bits: only the owner's x bit ever meant anything
			if m&0o100 != 0 {
				return ModeExec, nil
			}
			return ModeFile, nil
		}
		return 0, fmt.Errorf("%w: mode %q", ErrBadTree, s)
	}
}

// SortEntries puts entries into git's order: by the bytes of the names, directories as if their name ended in a slash.
func SortEntries(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(sortName(a), sortName(b)) })
}

func sortName(e Entry) string {
	if e.Mode == ModeTree {
		return e.Name + "/"
	}
	return e.Name
}

// ModeByContent guesses the mode of a blob of which nothing but its first bytes is known (4 are enough): scripts and ELF files
// are executable.
func ModeByContent(start []byte) Mode {
	if bytes.HasPrefix(start, []byte("#!")) || bytes.HasPrefix(start, []byte("\x7fELF")) {
		return ModeExec
	}
	return ModeFile
}

// AppendTree appends the payload form of the entries to dst, in the order given (git's is that of SortEntries).
func AppendTree(dst []byte, entries []Entry) []byte {
	for _, e := range entries {
		dst = strconv.AppendUint(dst, uint64(e.Mode), 8)
		dst = append(dst, ' ')
		dst = append(dst, e.Name...)
		dst = append(dst, 0)
		dst = append(dst, e.ID[:]...)
	}
	return dst
}
