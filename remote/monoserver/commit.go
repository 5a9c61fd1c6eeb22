package monoserver

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/antares-actor/antares-actor/remote"
)

// commitInfo is Mega's LatestCommitInfo. Date is in unix seconds, as text.
type commitInfo struct {
	OID          string `json:"oid"`
	Date         string `json:"date"`
	ShortMessage string `json:"short_message"`
	Author       string `json:"author"`
	Committer    string `json:"committer"`
	Status       string `json:"status"`
}

// latestCommit answers the commit that last changed a path; for the root that is the head, or the commit of refs.
func (s *Server) latestCommit(w http.ResponseWriter, r *http.Request) {
	c, err := s.commitFor(r.Context(), r.URL.Query().Get("refs"), queryPath(r))
	if err != nil {
		s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	if names := queryPath(r); len(names) > 0 {
		c, err = s.lastChange(r.Context(), c, names)
		if err != nil {
			s.fail(w, r, statusOf(err), err)
			return
		}
	}
	_, payload, err := s.repo.Object(r.Context(), c.ID)
	if err != nil {
		s.fail(w, r, statusOf(err), err)
		return
	}
	info := describe(c, payload)
	if info.OID, err = s.ids.commitHex(r.Context(), c, payload); err != nil {
		s.fail(w, r, statusOf(err), err)
		return
	}
	s.writeJSON(w, r, http.StatusOK, info)
}

func (s *Server) lastChange(ctx context.Context, c remote.Commit, names []string) (remote.Commit, error) {
	if _, err := s.dirs.entryAt(ctx, c.Tree, names); err != nil {
		return remote.Commit{}, err
	}
	id, err := s.repo.LastChange(ctx, c.ID, strings.Join(names, "/"))
	if err != nil {
		return remote.Commit{}, err
	}
	return s.repo.Pin(ctx, id.String())
}

// describe reads all but the id: the people and the first line of the message are in the commit object.
func describe(c remote.Commit, payload []byte) commitInfo {
	info := commitInfo{Date: strconv.FormatInt(c.Time.Unix(), 10), Status: "success"}
	head, message, _ := bytes.Cut(payload, []byte("\n\n"))
	for line := range bytes.Lines(head) {
		key, value, _ := bytes.Cut(line, []byte(" "))
		name, _, _ := bytes.Cut(value, []byte(" <"))
		switch string(key) {
		case "author":
			info.Author = string(name)
		case "committer":
			info.Committer = string(name)
		}
	}
	first, _, _ := bytes.Cut(bytes.TrimLeft(message, "\n"), []byte("\n"))
	info.ShortMessage = string(first)
	return info
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, r, http.StatusOK, "http ready")
}
