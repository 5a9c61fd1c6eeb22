package monoserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/antares-actor/antares-actor/remote"
	"github.com/antares-actor/antares-actor/remote/fault"
	"github.com/antares-actor/antares-actor/remote/gitrepo"
)

// controlRoot is where Control's routes are; Mega has no such path.
const controlRoot = "/_test/"

// maxControl bounds the body of a request to Control, a patch above all.
const maxControl = 64 << 20

// Control returns the server with routes by which a client sets, while it runs, what tests in the same process set by
// methods. Bodies and answers are JSON; errors are Mega's envelope. Its requests are not counted and meet no faults.
//
//	GET, PUT     /_test/head           {"rev":"v2"}: Head, SetHead
//	PUT, DELETE  /_test/cl/{link}      a Changelist
//	GET          /_test/faults         the rules with their numbers
//	POST         /_test/faults         a Spec
//	DELETE       /_test/faults[/{name}]
//	GET, DELETE  /_test/traffic        Traffic, ResetTraffic
//	GET, PUT     /_test/quirks         Quirks
//	PUT          /_test/lfs            {"dir":"/srv/objects"}: ServeLFS
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s)
	handle := func(pattern string, h func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxControl)
			answer, err := h(r)
			if err != nil {
				s.fail(w, r, controlStatus(err), err)
				return
			}
			s.writeJSON(w, r, http.StatusOK, answer)
		})
	}
	handle("GET "+controlRoot+"head", s.controlHead)
	handle("PUT "+controlRoot+"head", s.controlSetHead)
	handle("PUT "+controlRoot+"cl/{link}", s.controlAddChangelist)
	handle("DELETE "+controlRoot+"cl/{link}", s.controlRemoveChangelist)
	handle("GET "+controlRoot+"faults", func(*http.Request) (any, error) { return s.faults.Rules(), nil })
	handle("POST "+controlRoot+"faults", s.controlAddFault)
	handle("DELETE "+controlRoot+"faults", func(*http.Request) (any, error) {
		s.faults.Clear()
		return done, nil
	})
	handle("DELETE "+controlRoot+"faults/{name}", s.controlRemoveFault)
	handle("GET "+controlRoot+"traffic", func(*http.Request) (any, error) { return s.Traffic(), nil })
	handle("DELETE "+controlRoot+"traffic", func(*http.Request) (any, error) {
		s.ResetTraffic()
		return done, nil
	})
	handle("GET "+controlRoot+"quirks", func(*http.Request) (any, error) { return s.Quirks(), nil })
	handle("PUT "+controlRoot+"quirks", s.controlSetQuirks)
	handle("PUT "+controlRoot+"lfs", s.controlServeLFS)
	mux.HandleFunc(controlRoot, func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, http.StatusNotFound, fmt.Errorf("no such route: %s %s", r.Method, r.URL.Path))
	})
	return mux
}

var (
	done       = map[string]bool{"ok": true}
	errRequest = errors.New("bad request")
)

func controlStatus(err error) int {
	switch {
	case errors.Is(err, remote.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, errRequest), errors.Is(err, remote.ErrUnknownRev), errors.Is(err, ErrBadChangelist),
		errors.Is(err, gitrepo.ErrBadPatch), errors.Is(err, fault.ErrBadSpec):
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

// decode reads a request's body, all of which must be known: a misspelt key would set nothing.
func decode(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", errRequest, err)
	}
	return nil
}

// headInfo is the head's form in JSON.
type headInfo struct {
	OID string `json:"oid"`
}

func (s *Server) controlHead(r *http.Request) (any, error) {
	c, err := s.Head(r.Context())
	return headInfo{c.ID.String()}, err
}

func (s *Server) controlSetHead(r *http.Request) (any, error) {
	var req struct {
		Rev string `json:"rev"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	c, err := s.SetHead(r.Context(), req.Rev)
	return headInfo{c.ID.String()}, err
}

func (s *Server) controlAddChangelist(r *http.Request) (any, error) {
	var cl Changelist
	if err := decode(r, &cl); err != nil {
		return nil, err
	}
	cl.Link = r.PathValue("link")
	return done, s.AddChangelist(r.Context(), cl)
}

func (s *Server) controlRemoveChangelist(r *http.Request) (any, error) {
	if link := r.PathValue("link"); !s.RemoveChangelist(link) {
		return nil, fmt.Errorf("cl %q: %w", link, remote.ErrNotFound)
	}
	return done, nil
}

func (s *Server) controlAddFault(r *http.Request) (any, error) {
	var spec Spec
	if err := decode(r, &spec); err != nil {
		return nil, err
	}
	return done, s.AddFault(r.Context(), spec)
}

func (s *Server) controlRemoveFault(r *http.Request) (any, error) {
	if name := r.PathValue("name"); s.faults.Remove(name) == 0 {
		return nil, fmt.Errorf("fault %q: %w", name, remote.ErrNotFound)
	}
	return done, nil
}

func (s *Server) controlSetQuirks(r *http.Request) (any, error) {
	var q Quirks
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	s.SetQuirks(q)
	return done, nil
}

func (s *Server) controlServeLFS(r *http.Request) (any, error) {
	var req struct {
		Dir string `json:"dir"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	s.ServeLFS(req.Dir)
	return done, nil
}
