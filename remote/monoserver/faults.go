package monoserver

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/fault"
)

// Faults returns the faults that requests meet. They stand behind the counters, and before the answers.
func (s *Server) Faults() *fault.Set { return &s.faults }

// Spec is a fault in words, of those that package fault has or of the server's own:
//
//	empty    a listing, or a raw tree, that says that nothing is there
//	error    Status, with Mega's envelope around Body as the message
//	advance  the head moves to the next of Revs, the last one in the end, before the request is answered
type Spec struct {
	fault.Spec
	Revs []string `json:"revs,omitempty"`
}

// AddFault adds a fault in words to Faults.
func (s *Server) AddFault(ctx context.Context, spec Spec) error {
	rule := spec.Rule
	rule.Name = cmp.Or(rule.Name, spec.Kind)
	err := spec.Check()
	switch {
	case err != nil:
	case spec.Kind == "empty":
		rule.Fault = Empty()
	case spec.Kind == "error" && spec.Status >= 400 && spec.Status < 600:
		rule.Fault = s.Error(spec.Status, spec.Body)
	case spec.Kind == "error":
		err = fmt.Errorf("%w: status %d: give one from 400 to 599", fault.ErrBadSpec, spec.Status)
	case spec.Kind == "advance":
		rule.Fault, err = s.Advance(ctx, spec.Revs...)
	case slices.Contains(fault.Kinds(), spec.Kind):
		rule, err = spec.Build()
	default:
		all := strings.Join(append(fault.Kinds(), "empty", "error", "advance"), ", ")
		err = fmt.Errorf("%w: kind %q: give one of %s", fault.ErrBadSpec, spec.Kind, all)
	}
	if err != nil {
		return fmt.Errorf("monoserver: %w", err)
	}
	s.faults.Add(rule)
	return nil
}

// Empty answers a listing without entries, a raw tree without bytes, or a changelist without files: what a Mega server says of
// what it does not know at that moment.
func Empty() fault.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/file/tree"):
			fault.Answer("application/octet-stream", "")(w, r, next)
		case strings.HasSuffix(r.URL.Path, "-hash"), strings.HasSuffix(r.URL.Path, "/files-list"):
			empty, _ := json.Marshal(envelope{ReqResult: true, Data: []hashItem{}})
			fault.Answer("application/json", string(empty))(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	}
}

// Error answers as Mega does when it fails by itself; from 500 up it does not say why.
func (s *Server) Error(status int, message string) fault.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		s.fail(w, r, status, errors.New(message))
	}
}

// Advance moves the head before a request is answered: at the first to the first of these revisions, and so on.
func (s *Server) Advance(ctx context.Context, revs ...string) (fault.Fault, error) {
	commits := make([]remote.Commit, 0, len(revs))
	for _, rev := range revs {
		c, err := s.repo.Pin(ctx, rev)
		if err != nil {
			return nil, err
		}
		commits = append(commits, c)
	}
	if len(commits) == 0 {
		return nil, fmt.Errorf("%w: advance: give revs", fault.ErrBadSpec)
	}
	left := make(chan remote.Commit, len(commits))
	for _, c := range commits {
		left <- c
	}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case c := <-left:
			s.head.Store(&c)
		default: // it is at the last of them
		}
		next.ServeHTTP(w, r)
	}, nil
}
