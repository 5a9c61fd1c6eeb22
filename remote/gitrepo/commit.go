package gitrepo

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/antares-actor/antares-actor/internal/object"
	"github.com/antares-actor/antares-actor/remote"
)

// parseCommit reads what a mount needs from a commit object's payload.
func parseCommit(id object.ID, payload []byte) (remote.Commit, error) {
	c := remote.Commit{ID: id}
	head, _, _ := bytes.Cut(payload, []byte("\n\n"))
	for line := range bytes.Lines(head) {
		key, value, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		var err error
		switch string(key) {
		case "tree":
			c.Tree, err = object.Parse(string(value))
		case "committer":
			c.Time = signatureTime(value)
		}
		if err != nil {
			return remote.Commit{}, fmt.Errorf("gitrepo: commit %s: %w: %w", id, remote.ErrBadAnswer, err)
		}
	}
	if c.Tree.IsZero() {
		return remote.Commit{}, fmt.Errorf("gitrepo: commit %s: %w: it names no tree", id, remote.ErrBadAnswer)
	}
	return c, nil
}

// signatureTime reads the time of "Name <mail> 1700000000 +0100". Old histories hold broken signatures: they give the
// epoch, as git shows them.
func signatureTime(sig []byte) time.Time {
	_, after, _ := bytes.Cut(sig[bytes.LastIndexByte(sig, '>')+1:], []byte(" "))
	text, _, _ := bytes.Cut(after, []byte(" "))
	sec, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		sec = 0
	}
	return time.Unix(sec, 0).UTC()
}
