package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/antares-actor/antares-actor/actors"
)

// WarmProgress is a line of the answer to a warm: how far it has come. The last line has Done or Error.
type WarmProgress struct {
	Trees  uint64 `json:"trees"`  // directories that were read
	Files  uint64 `json:"files"`  // that match, as far as is known
	Here   uint64 `json:"here"`   // of them, or given up
	Failed uint64 `json:"failed"` // that could not be fetched
	Bytes  uint64 `json:"bytes"`  // of the files that are here
	Listed bool   `json:"listed"` // Files is final

	Done    bool   `json:"done,omitempty"`
	Error   string `json:"error,omitempty"`
	Refused bool   `json:"refused,omitempty"` // the error is in what was asked for
}

type warmRequest struct {
	Patterns []string `json:"patterns"`
}

// progressEach is how often a warm says how far it is.
const progressEach = 100 * time.Millisecond

// warm answers a line at a time, for as long as it takes.
func (s *Server) warm(w http.ResponseWriter, r *http.Request) {
	var body warmRequest
	if !s.read(w, r, &body) {
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines, flush := json.NewEncoder(w), http.NewResponseController(w)
	var last WarmProgress
	var said time.Time
	say := func(p WarmProgress) {
		said = time.Now()
		if err := errors.Join(lines.Encode(p), flush.Flush()); err != nil {
			s.log.Debug("control: nobody reads the progress of a warm", "err", err)
		}
	}
	err := s.mount.Warm(r.Context(), body.Patterns, func(p actors.WarmProgress) {
		last = WarmProgress{Trees: p.Trees, Files: p.Files, Here: p.Done, Failed: p.Failed, Bytes: p.Bytes, Listed: p.Listed}
		if time.Since(said) >= progressEach {
			say(last)
		}
	})
	if last.Done = err == nil; err != nil {
		last.Error, last.Refused = err.Error(), statusCode(err) == http.StatusBadRequest
	}
	say(last)
}

// Warm has the mount fetch what matches the patterns. progress is called now and then, and at the end.
func (c *Client) Warm(ctx context.Context, patterns []string, progress func(WarmProgress)) error {
	resp, err := c.send(ctx, http.MethodPost, "/warm", warmRequest{Patterns: patterns})
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	for lines := json.NewDecoder(resp.Body); ; {
		var p WarmProgress
		if err := lines.Decode(&p); err != nil {
			return fmt.Errorf("%w: %w", ErrNobody, err) // it died: no last line came
		}
		progress(p)
		switch {
		case p.Done:
			return nil
		case p.Error != "" && p.Refused:
			return fmt.Errorf("%w: %s", ErrRefused, p.Error)
		case p.Error != "":
			return fmt.Errorf("%w: %s", ErrFailed, p.Error)
		}
	}
}
