package monoserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/antares-actor/antares-actor/remote"
)

// envelope is Mega's CommonResult. Clients parse all three keys, so none is ever left out.
type envelope struct {
	ReqResult  bool   `json:"req_result"`
	Data       any    `json:"data"`
	ErrMessage string `json:"err_message"`
}

// succeed answers 200 with data in the envelope.
func (s *Server) succeed(w http.ResponseWriter, r *http.Request, data any) {
	s.writeJSON(w, r, http.StatusOK, envelope{ReqResult: true, Data: data})
}

// fail answers an error as Mega does: from 500 up the message says nothing, and the log says it.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	msg := err.Error()
	if status >= http.StatusInternalServerError {
		msg = "Internal server error"
		s.log.WarnContext(r.Context(), "request failed", "url", r.URL.String(), "status", status, "err", err)
	}
	s.writeJSON(w, r, status, envelope{ErrMessage: msg})
}

// statusOf maps an error on the routes whose errors Mega maps. The tree routes answer 500 to everything instead.
func statusOf(err error) int {
	switch {
	case errors.Is(err, remote.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, remote.ErrUnavailable):
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

func (s *Server) writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	s.writeTyped(w, r, "application/json", status, v)
}

// writeTyped answers JSON of this content type.
func (s *Server) writeTyped(w http.ResponseWriter, r *http.Request, contentType string, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // names come out as they are, as from Mega
	if err := enc.Encode(v); err != nil {
		s.log.WarnContext(r.Context(), "request failed", "url", r.URL.String(), "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a client that left needs no answer
}
