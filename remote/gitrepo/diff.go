package gitrepo

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// Difference is what differs between two trees at one path.
type Difference struct {
	remote.Change
	Mode       object.Mode // the new one; of Deleted, the old one
	Similarity int         // of Renamed: how much of the content stayed, in percent
}

// maxRenames is how many files may have gone, or have come, for git to look for renames that changed the content as well.
const maxRenames = "1000"

// Diff lists what differs between two trees, or commits, in no order that callers may rely on. Only contents count: a file
// whose mode alone differs is left out, since a change has no mode.
func (r *Repo) Diff(ctx context.Context, from, to object.ID) ([]Difference, error) {
	out, err := r.run(ctx, "diff-tree", "-r", "-z", "--raw", "--no-abbrev", "-M", "-l"+maxRenames, from.String(), to.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", remote.ErrUnavailable, err)
	}
	return parseRaw(out)
}

// parseRaw reads git's raw format with -z: ":100644 100644 <id> <id> M\0path\0", and for a rename
// ":100644 100644 <id> <id> R086\0old\0new\0".
func parseRaw(out []byte) ([]Difference, error) {
	var all []Difference
	fields := strings.Split(string(bytes.TrimSuffix(out, []byte{0})), "\x00")
	for len(fields) > 0 && fields[0] != "" {
		info := strings.Fields(fields[0])
		if len(info) != 5 || len(fields) < 2 {
			return nil, fmt.Errorf("gitrepo: git diff-tree: %w: %q", remote.ErrBadAnswer, fields[0])
		}
		d, err := difference(info, fields[1:])
		if err != nil {
			return nil, fmt.Errorf("gitrepo: git diff-tree: %w: %q: %w", remote.ErrBadAnswer, fields[0], err)
		}
		used := 2
		if d.Action == remote.Renamed {
			used = 3
		}
		if d.Action != remote.Modified || info[2] != info[3] {
			all = append(all, d)
		}
		fields = fields[used:]
	}
	return all, nil
}

// difference reads one record: the five fields of its first part, and the paths that follow.
func difference(info, paths []string) (Difference, error) {
	d := Difference{Change: remote.Change{Path: paths[0]}}
	mode, id := info[1], info[3]
	switch status := info[4]; status[0] {
	case 'A':
		d.Action = remote.New
	case 'M', 'T':
		d.Action = remote.Modified
	case 'D':
		d.Action, mode, id = remote.Deleted, strings.TrimPrefix(info[0], ":"), info[2]
	case 'R':
		if len(paths) < 2 {
			return d, fmt.Errorf("a rename without its new path")
		}
		var err error
		if d.Similarity, err = strconv.Atoi(status[1:]); err != nil {
			return d, err
		}
		d.Action, d.OldPath, d.Path = remote.Renamed, paths[0], paths[1]
	default:
		return d, fmt.Errorf("unknown status %q", status)
	}
	m, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		return d, err
	}
	d.Mode = object.Mode(m)
	d.ID, err = object.Parse(id)
	return d, err
}
